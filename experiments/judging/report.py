"""The report of a claims file, as Markdown."""

import math
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.files import write_text_atomically
from experiments.comparison.flat_config import as_text, differences
from experiments.judging.claim import ClaimsSpec, Comparison, Direction
from experiments.judging.network_cost import cost_of
from experiments.judging.outcomes import ArmRun, Outcome, claim_states
from experiments.judging.printed_tables import judge_printed
from experiments.judging.seed_statistics import CONFIDENCE, Interval
from experiments.results.table_formats import to_markdown
from experiments.results.table_layout import MINUS, NEVER, Sheet

#: Text below this line of an earlier report was written by hand, and is kept.
DISCUSSION = "## Discussion"

LEVEL = f"{CONFIDENCE:.0%}"

#: Headings of costs in a table.
COST_LABELS = {
    "cost/parameters": "parameters, millions",
    "cost/gflops": "GFLOPs, forward of one frame",
    "cost/gflops_blocks": "GFLOPs, transformer blocks",
}

ARROWS = {Direction.lower: "↓", Direction.higher: "↑"}


def write_report(
    path: Path,
    spec: ClaimsSpec,
    runs: Sequence[ArmRun],
    outcomes: Sequence[Outcome],
    figure: Path | None,
    command: str,
) -> None:
    """Write the report; the discussion of an earlier one stays.

    Args:
        path: file to write.
        spec: the claims file.
        runs: runs of all arms and seeds.
        outcomes: outcomes of the file's claims.
        figure: picture to show, in the same folder; None where there is none.
        command: command that makes the same runs again.
    """
    parts = [
        f"# {spec.title}: the paper's claims, measured",
        _preamble(spec, runs),
        "## What the paper's own tables say",
        _sheets(printed_sheet(spec)),
        "## What came out",
        _sheets(verdict_sheet(spec, outcomes), claim_sheet(outcomes)),
        *_picture(figure),
        _test_text(spec) if spec.trained else "",
        _sheets(seed_sheet(spec, runs, outcomes), scene_sheet(outcomes), cost_sheet(spec)),
        "## How it was run",
        _sheets(*how_sheets(spec, runs, command)),
        _kept(path) or f"{DISCUSSION}\n\nNot written yet.",
    ]
    write_text_atomically(path, "\n\n".join(part.strip() for part in parts if part) + "\n")


def how_sheets(spec: ClaimsSpec, runs: Sequence[ArmRun], command: str) -> list[Sheet]:
    """Return sheets that tell how the runs were made, as far as there are any."""
    done = finished(runs)
    of_all = Sheet("All runs", ["", "of all runs"], 2, [[["command", command], *(facts(done) if done else [])]])
    if not spec.trained:
        return [of_all]
    header = ["option", *spec.trained]
    differing = Sheet("Options in which the arms differ", header, len(header), [arm_differences(spec, runs)])
    return [of_all, differing, run_sheet(runs)]


def verdict_sheet(spec: ClaimsSpec, outcomes: Sequence[Outcome]) -> Sheet:
    """Return one line per claim and test set."""
    header = ["claim", "source", "metric", "claimed of", "compared with", f"difference [{LEVEL}]", "verdict"]
    lines, notes = [], []
    for outcome in outcomes:
        claim, compared = outcome.claim, outcome.comparison
        if outcome.reason:
            notes.append(f"{compared.metric}: undecided, {outcome.reason}")
        own, other = (spread([pair[side] for pair in outcome.pairs.values()]) for side in (0, 1))
        metric = f"{metric_name(outcome)} {ARROWS[compared.direction]}"
        arms = [f"{compared.arm} {own}", f"{compared.than} {other}"]
        lines.append([claim.text, claim.source, metric, *arms, interval_text(outcome.interval), outcome.verdict])
    notes += [
        f"{metric} with a margin of {signed(margin)}: the difference is held against that, not against 0"
        for metric, margin in dict.fromkeys((o.comparison.metric, o.comparison.margin) for o in outcomes)
        if margin
    ]
    return Sheet(
        "Verdicts",
        header,
        len(header),
        [lines] if lines else [],
        ["values are mean ± standard deviation over the seeds", *dict.fromkeys(notes)],
    )


def claim_sheet(outcomes: Sequence[Outcome]) -> Sheet:
    """Return the verdicts of the claims that are about several comparisons."""
    lines = []
    for state in claim_states(outcomes):
        if len(state.outcomes) > 1:
            held = sum(outcome.verdict == "holds" for outcome in state.outcomes)
            counted = f"{state.claim.of.value}: {held} of {len(state.outcomes)} hold"
            lines.append([state.claim.text, state.claim.source, state.dataset or "costs", counted, state.verdict])
    header = ["claim", "source", "test set", "comparisons", "verdict"]
    return Sheet("Claims of several comparisons", header, len(header), [lines] if lines else [])


def printed_sheet(spec: ClaimsSpec) -> Sheet:
    """Compare every claim with the values that the paper prints, with the notes on those."""
    lines, notes = [], []
    for claim in spec.claims:
        outcome = judge_printed(spec, claim)
        place = "; ".join(dict.fromkeys(pair.place for pair in outcome.pairs))
        lines.append([claim.text, claim.source, outcome.verdict, outcome.text(), place])
        notes += outcome.notes
    header = ["claim", "source", "by the printed values", "values, the claimed one first", "of"]
    meaning = "computed from published.csv; equal: as many digits as are printed do not tell"
    starred = [f"* {note}" for note in dict.fromkeys(notes)]
    return Sheet("Printed values", header, len(header), [lines], [meaning, *starred])


def cost_sheet(spec: ClaimsSpec) -> Sheet:
    """Return the costs of the arms' networks, where a claim is about them."""
    compared = [comparison for _, comparison in spec.comparisons if comparison.is_cost]
    metrics = list(dict.fromkeys(comparison.metric for comparison in compared))
    used = {arm for comparison in compared for arm in (comparison.arm, comparison.than)}
    lines = []
    for arm in (arm for arm in spec.arms if arm in used):
        costs = cost_of([shlex.split(part) for part in spec.arms[arm]])
        lines.append([arm, *(f"{costs[metric]:.2f}" for metric in metrics)])
    header = ["arm", *(COST_LABELS[metric] for metric in metrics)]
    notes = ["counted at the published size with random weights, two operations a multiply-add"]
    return Sheet("Costs", header, 1, [lines] if lines else [], notes)


def seed_sheet(spec: ClaimsSpec, runs: Sequence[ArmRun], outcomes: Sequence[Outcome]) -> Sheet:
    """Return every run's value of each metric, and the differences of each pair."""
    groups = []
    for key in dict.fromkeys(outcome.key for outcome in outcomes if not outcome.comparison.is_cost):
        about = [outcome for outcome in outcomes if outcome.key == key]
        compared = {arms_compared(outcome.comparison): outcome for outcome in about}
        arms = [arm for arm in spec.arms if any(arm in pair for pair in compared)]
        lines = []
        for arm in arms:
            values = [run.metrics.get(key, math.nan) for run in runs if run.arm == arm]
            lines.append([metric_name(about[0]), arm, *map(number, values), spread(values)])
        for (arm, than), outcome in compared.items():
            values = list(outcome.differences.values())
            lines.append([metric_name(about[0]), f"{arm} {MINUS} {than}", *map(signed, values), spread(values, signed)])
        groups.append(lines)
    header = ["metric", "arm", *(f"seed {seed}" for seed in spec.seeds), "mean ± std"]
    return Sheet("Every seed", header, 2, groups)


def scene_sheet(outcomes: Sequence[Outcome]) -> Sheet:
    """Return the differences over scenes."""
    lines = []
    for outcome in {(o.key, *arms_compared(o.comparison)): o for o in outcomes}.values():
        if (found := outcome.scenes) is not None:
            pair = f" {MINUS} ".join(arms_compared(outcome.comparison))
            p_value = "" if math.isnan(found.p_value) else f"{found.p_value:.2g}"
            lines.append([metric_name(outcome), pair, str(found.scenes), interval_text(found.interval), p_value])
    header = ["metric", "arms", "scenes", f"difference [{LEVEL}]", "Wilcoxon p"]
    notes = [
        "secondary: over the test scenes, each averaged over its frames and the seeds; tells whether these networks "
        "would differ on other scenes, not whether others trained alike would, and decides nothing above"
    ]
    return Sheet("Scene by scene", header, 2, [lines] if lines else [], notes)


def arms_compared(comparison: Comparison) -> tuple[str, str]:
    """Return the arms of a comparison, the claimed one first."""
    return comparison.arm, comparison.than


def run_sheet(runs: Sequence[ArmRun]) -> Sheet:
    """Return the arm, seed, folder and state of each run."""
    lines = []
    for run in runs:
        folder, environment = run.record.folder, run.record.environment
        state = "tested" if run.metrics else "not finished"
        lines.append(
            [run.arm, str(run.seed), f"{folder.parent.name}/{folder.name}", environment.get("started", ""), state]
        )
    return Sheet("Runs", ["arm", "seed", "run", "started", "state"], 5, [lines])


def metric_name(outcome: Outcome) -> str:
    """Return the metric, with the test set where there is one: ``rooms/delta1``."""
    return outcome.key.removeprefix("test/")


def finished(runs: Sequence[ArmRun]) -> list[ArmRun]:
    """Return those of some runs that have metrics."""
    return [run for run in runs if run.metrics]


def _preamble(spec: ClaimsSpec, runs: Sequence[ArmRun]) -> str:
    """Describe the runs, before any of their values; of those that are not finished nothing is known for sure."""
    if not spec.comparisons:
        return "Values that the paper prints, alone: nothing here can be trained."
    if not spec.trained:
        return "Costs of networks, which no training decides."
    done = finished(runs)
    if not done:
        return f"{len(spec.trained)} arms, {len(spec.seeds)} seeds each. No run is finished."
    said = []
    if is_synthetic(done):
        said.append(
            "on **Rooms**, the built-in synthetic set: no value here is of the paper's data, nor comparable with one"
        )
    remarks = dict.fromkeys(r for run in done for r in run.record.environment.get("data", {}).get("remarks", ()))
    if remarks:
        said.append(f"on data of which is to be said: {', '.join(remarks)}")
    unusual = [name for name in profiles(done) if name != "paper"]
    if unusual:
        said.append(
            f"at the profile {', '.join(f'`{name}`' for name in unusual)}, far smaller than the paper's training"
        )
    if on_cpu(done):
        said.append("on a **CPU**")
    text = "; ".join(said)
    size = "**A small run**: " if unusual else ""
    state = "" if len(done) == len(runs) else f" {len(done)} of {len(runs)} runs are finished."
    lead = f"{size}{len(spec.trained)} arms, {len(spec.seeds)} seeds each, trained alike"
    return f"{lead}, {text}.{state}" if text else f"{lead}.{state}"


def _test_text(spec: ClaimsSpec) -> str:
    """Describe the statistical test."""
    count = len(spec.seeds)
    return (
        "**The test.** Runs are paired by seed: within a pair the frames, their order and their augmentation are the "
        f"same. The {count} differences have a mean and Student's {LEVEL} interval of it. A claim *holds* if the "
        "interval lies wholly on the claimed side of zero (or of the claim's margin), *does not hold* if it lies "
        f"wholly on the other, and is *undecided* otherwise. {count} seeds show large differences only, undecided does "
        "not mean equal, and the intervals are not corrected for the number of claims."
    )


def _picture(figure: Path | None) -> list[str]:
    """Return the plot and its caption."""
    if figure is None:
        return []
    return [
        f"![Every seed's value and the mean of each arm]({figure.name})",
        "*Dots: seeds. Bars: their means. Lines join the runs of a seed. Published values, where there are any, are "
        "of the data named beside them.*",
    ]


def _sheets(*sheets: Sheet) -> str:
    return to_markdown([sheet for sheet in sheets if sheet.groups])


def _kept(path: Path) -> str:
    """Return the discussion of an earlier report."""
    if not path.exists():
        return ""
    _, line, text = path.read_text(encoding="utf-8").partition(f"\n{DISCUSSION}\n")
    return f"{DISCUSSION}\n{text}" if line else ""


def is_synthetic(runs: Sequence[ArmRun]) -> bool:
    """Return whether any run was trained on Rooms."""
    return any(_environment(run, "data", "synthetic") for run in runs)


def on_cpu(runs: Sequence[ArmRun]) -> bool:
    """Return whether no run had a GPU to train on, as far as is recorded."""
    return not any(_environment(run, "hardware", "gpus") for run in runs)


def profiles(runs: Sequence[ArmRun]) -> list[str]:
    """Return the profiles of the runs, each once."""
    return list(dict.fromkeys(str(run.record.environment.get("profile") or "none") for run in runs))


def facts(runs: Sequence[ArmRun]) -> list[list[str]]:
    """Return names and values of how the runs were made: one value if all runs share it, else one per arm."""
    rows = []
    for name, fact in FACTS.items():
        by_value: dict[str, list[str]] = {}
        for run in runs:
            by_value.setdefault(fact(run) or "unrecorded", []).append(run.arm)
        values = list(by_value)
        if len(values) > 1:
            values = [f"{value} ({', '.join(dict.fromkeys(arms))})" for value, arms in by_value.items()]
        rows.append([name, "; ".join(values)])
    return rows


def arm_differences(spec: ClaimsSpec, runs: Sequence[ArmRun]) -> list[list[str]]:
    """Return the options in which the arms differ, each with its value in every arm, from the runs of one seed."""
    seed = next(iter(spec.seeds), None)
    first = {run.arm: run.record.config for run in runs if run.seed == seed}
    found = differences([first.get(arm, {}) for arm in spec.trained])
    return [[key, *("" if value is None else value for value in values)] for key, values in found.items()]


def _environment(run: ArmRun, *keys: str) -> Any:
    return _at(run.record.environment, keys)


def _config(run: ArmRun, *keys: str) -> Any:
    return _at(run.record.config, keys)


def _at(tree: Any, keys: Sequence[str]) -> Any:
    """Return the value under nested keys; None if one is absent."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _data(run: ArmRun) -> str:
    data = _environment(run, "data") or {}
    counts = [
        f"{frames} frames of {_at(data, ('scenes', part)) or 'unrecorded'} scenes to {purpose}"
        for part, purpose in (("train", "train"), ("val", "validate"), ("test", "test"))
        if (frames := _at(data, ("frames", part)))
    ]
    return f"{data['name']}: {', '.join(counts)}" if "name" in data else ""


def _size(run: ArmRun) -> str:
    options = _config(run, "data", "init_args") or {}
    frame = _environment(run, "data", "frame_size")
    keys = ("resize", "crop", "eval_size")
    return ", ".join(
        [f"frames {as_text(frame)}", *(f"{key} {as_text(options[key])}" for key in keys if key in options)]
    )


def _training(run: ArmRun) -> str:
    batch, epochs = _config(run, "data", "init_args", "batch_size"), _config(run, "trainer", "max_epochs")
    steps = max((line.get("step", 0) for line in run.record.history), default=None)
    length = "as many epochs as its stages have" if epochs == -1 else f"{epochs} epochs"
    return f"{steps or 'unrecorded'} steps, {length}, batches of {batch}"


def _optimizer(run: ArmRun) -> str:
    optimizer, schedule = (_config(run, "model", "init_args", key) or {} for key in ("optimizer", "schedule"))
    name = str(optimizer.get("class_path", "")).rpartition(".")[2]
    schedule_name = (schedule.get("init_args") or schedule).get("name", "unrecorded")
    return f"{name}, learning rate {_at(optimizer, ('init_args', 'lr'))}, {schedule_name} schedule" if name else ""


def _hardware(run: ArmRun) -> str:
    hardware = _environment(run, "hardware") or {}
    if not hardware:
        return ""
    gpus = ", ".join(hardware.get("gpus") or []) or f"CPU, {hardware.get('cpus')} cores"
    threads = f", {hardware['threads']} threads a run" if "threads" in hardware and not hardware.get("gpus") else ""
    return f"{gpus}{threads.replace('1 threads', '1 thread')}, precision {hardware.get('precision')}"


def _commit(run: ArmRun) -> str:
    commit = str(run.record.environment.get("commit", ""))[:7]
    return commit + (" with uncommitted changes" if run.record.environment.get("dirty") else "")


#: Name of a fact -> how it is read from a run's records.
FACTS: dict[str, Callable[[ArmRun], str]] = {
    "profile": lambda run: str(run.record.environment.get("profile") or ""),
    "data": _data,
    "size": _size,
    "data fingerprint": lambda run: str(run.record.environment.get("data_fingerprint") or ""),
    "training": _training,
    "optimizer": _optimizer,
    "hardware": _hardware,
    "commit": _commit,
    "torch": lambda run: str(_environment(run, "packages", "torch") or ""),
}


def number(value: float) -> str:
    """Return a value in four decimals; a dash for NaN or infinity."""
    return f"{value:.4f}".replace("-", MINUS) if math.isfinite(value) else NEVER


def signed(value: float) -> str:
    """Return a difference in four decimals with its sign; a dash for NaN or infinity."""
    return f"{value:+.4f}".replace("-", MINUS) if math.isfinite(value) else NEVER


def spread(values: Sequence[float], write: Callable[[float], str] = number) -> str:
    """Return the mean and standard deviation of the finite values, as ``0.1234 ± 0.0012``.

    Args:
        values: values of a metric, one per run; those that are not finite are left out.
        write: writes the mean: :func:`number`, or :func:`signed` for differences.
    """
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return NEVER
    text = write(float(np.mean(known)))
    return f"{text} ± {np.std(known, ddof=1):.4f}" if len(known) > 1 else text


def interval_text(interval: Interval) -> str:
    """Return a mean with its interval, as ``+0.0100 [-0.0200, +0.0400]``; the mean alone where there is no interval."""
    if math.isnan(interval.low):
        return signed(interval.mean)
    return f"{signed(interval.mean)} [{signed(interval.low)}, {signed(interval.high)}]"
