"""The report of a claims file, as Markdown."""

import math
from collections.abc import Sequence
from pathlib import Path

from datamodules.files import write_text_atomically
from experiments.claims_facts import arm_differences, facts, is_synthetic, on_cpu, profiles, published_pairs
from experiments.claims_numbers import interval_text, number, signed, spread
from experiments.claims_outcomes import ArmRun, Outcome
from experiments.claims_spec import ClaimsSpec, Direction
from experiments.claims_statistics import CONFIDENCE
from experiments.table_formats import to_markdown
from experiments.table_layout import MINUS, Sheet

#: What stands below this line of an earlier report was written by hand, and is kept.
DISCUSSION = "## Discussion"

LEVEL = f"{CONFIDENCE:.0%}"

ARROWS = {Direction.lower: "↓", Direction.higher: "↑"}


def write_report(
    path: Path, spec: ClaimsSpec, runs: Sequence[ArmRun], outcomes: Sequence[Outcome], figure: Path, command: str
) -> None:
    """Write the report; the discussion of an earlier one stays.

    Args:
        path: of the report.
        spec: the claims file.
        runs: of all arms and seeds.
        outcomes: of its claims.
        figure: picture to show, in the same folder.
        command: that makes the same runs again.
    """
    parts = [
        f"# {spec.title}: the paper's claims, measured",
        _preamble(spec, runs),
        "## What came out",
        _sheets(verdict_sheet(spec, outcomes)),
        f"![Every seed's figure and the mean of each arm]({figure.name})",
        "*Dots: seeds. Bars: their means. Lines join the runs of a seed. Published figures, where there are any, are "
        "of the data named beside them.*",
        _test_text(spec),
        _sheets(seed_sheet(spec, runs, outcomes), scene_sheet(outcomes), published_sheet(spec, outcomes)),
        "## How it was run",
        _sheets(
            Sheet("All runs", ["", "of all runs"], 2, [[["command", command], *facts(finished(runs))]]),
            Sheet(
                "Options in which the arms differ",
                ["option", *spec.arms],
                1 + len(spec.arms),
                [arm_differences(spec, runs)],
            ),
            run_sheet(runs),
        ),
        _kept(path) or f"{DISCUSSION}\n\nNot written yet.",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, "\n\n".join(part.strip() for part in parts if part) + "\n")


def verdict_sheet(spec: ClaimsSpec, outcomes: Sequence[Outcome]) -> Sheet:
    """One line a claim and test set."""
    header = ["claim", "source", "figure", "claimed of", "compared with", f"difference [{LEVEL}]", "verdict"]
    lines, notes = [], []
    for outcome in outcomes:
        claim = outcome.claim
        verdict = outcome.verdict
        if outcome.reason:
            notes.append(f"{claim.metric}: undecided, {outcome.reason}")
        own, other = (spread([pair[side] for pair in outcome.pairs.values()]) for side in (0, 1))
        lines.append(
            [
                claim.text, claim.source, f"{figure_name(outcome)} {ARROWS[claim.direction]}", f"{claim.arm} {own}",
                f"{claim.than} {other}", interval_text(outcome.interval), verdict,
            ]
        )  # fmt: skip
    margins = [o.claim for o in outcomes if o.claim.margin]
    notes += [
        f"{claim.metric} with a margin of {signed(claim.margin)}: the difference is held against that, not against 0"
        for claim in dict.fromkeys(margins)
    ]
    return Sheet(
        "Verdicts",
        header,
        len(header),
        [lines],
        ["figures are mean ± standard deviation over the seeds", *notes],
    )


def seed_sheet(spec: ClaimsSpec, runs: Sequence[ArmRun], outcomes: Sequence[Outcome]) -> Sheet:
    """Every figure of every run, and the differences of each pair."""
    groups = []
    for key in dict.fromkeys(outcome.key for outcome in outcomes):
        about = [outcome for outcome in outcomes if outcome.key == key]
        arms = [arm for arm in spec.arms if any(arm in (o.claim.arm, o.claim.than) for o in about)]
        lines = []
        for arm in arms:
            values = [run.figures.get(key, math.nan) for run in runs if run.arm == arm]
            lines.append([figure_name(about[0]), arm, *map(number, values), spread(values)])
        for arm, than in dict.fromkeys((o.claim.arm, o.claim.than) for o in about):
            values = next(list(o.differences.values()) for o in about if (o.claim.arm, o.claim.than) == (arm, than))
            lines.append([figure_name(about[0]), f"{arm} {MINUS} {than}", *map(signed, values), spread(values, signed)])
        groups.append(lines)
    header = ["figure", "arm", *(f"seed {seed}" for seed in spec.seeds), "mean ± std"]
    return Sheet("Every seed", header, 2, groups)


def scene_sheet(outcomes: Sequence[Outcome]) -> Sheet:
    """The differences over scenes."""
    lines = []
    for outcome in {(o.key, o.claim.arm, o.claim.than): o for o in outcomes}.values():
        if (found := outcome.scenes) is not None:
            pair = f"{outcome.claim.arm} {MINUS} {outcome.claim.than}"
            p_value = "" if math.isnan(found.p_value) else f"{found.p_value:.2g}"
            lines.append([figure_name(outcome), pair, str(found.scenes), interval_text(found.interval), p_value])
    header = ["figure", "arms", "scenes", f"difference [{LEVEL}]", "Wilcoxon p"]
    notes = [
        "secondary: over the test scenes, each averaged over its frames and the seeds; tells whether these networks "
        "would differ on other scenes, not whether others trained alike would, and decides nothing above"
    ]
    return Sheet("Scene by scene", header, 2, [lines] if lines else [], notes)


def published_sheet(spec: ClaimsSpec, outcomes: Sequence[Outcome]) -> Sheet:
    """What the paper printed of the same arms."""
    lines = []
    for metric, arm, than in dict.fromkeys((o.claim.metric, o.claim.arm, o.claim.than) for o in outcomes):
        for found in published_pairs(spec, metric, arm, than):
            gap = float(found.arm) - float(found.than)
            lines.append([metric, found.place, f"{arm} {found.arm}", f"{than} {found.than}", signed(gap)])
    header = ["figure", "published in", "claimed of", "compared with", "difference"]
    return Sheet(
        "Published", header, 4, [lines] if lines else [], [] if lines else ["nothing is published of these arms"]
    )


def run_sheet(runs: Sequence[ArmRun]) -> Sheet:
    """The runs."""
    lines = []
    for run in runs:
        folder, environment = run.record.folder, run.record.environment
        state = "tested" if run.figures else "not finished"
        lines.append(
            [run.arm, str(run.seed), f"{folder.parent.name}/{folder.name}", environment.get("started", ""), state]
        )
    return Sheet("Runs", ["arm", "seed", "run", "started", "state"], 5, [lines])


def figure_name(outcome: Outcome) -> str:
    """Metric, and test set where there is one: ``rooms/delta1``."""
    return outcome.key.removeprefix("test/")


def finished(runs: Sequence[ArmRun]) -> list[ArmRun]:
    """Those of some runs that have figures."""
    return [run for run in runs if run.figures]


def _preamble(spec: ClaimsSpec, runs: Sequence[ArmRun]) -> str:
    """What the runs are, before any figure; of those that are not finished nothing is known for sure."""
    done = finished(runs)
    if not done:
        return f"{len(spec.arms)} arms, {len(spec.seeds)} seeds each. No run is finished."
    said = []
    if is_synthetic(done):
        said.append(
            "on **Rooms**, the built-in synthetic set: no figure here is of the paper's data, nor comparable with one"
        )
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
    lead = f"{size}{len(spec.arms)} arms, {len(spec.seeds)} seeds each, trained alike"
    return f"{lead}, {text}.{state}" if text else f"{lead}.{state}"


def _test_text(spec: ClaimsSpec) -> str:
    """The stated test."""
    count = len(spec.seeds)
    return (
        "**The test.** Runs are paired by seed: within a pair the frames, their order and their augmentation are the "
        f"same. The {count} differences have a mean and Student's {LEVEL} interval of it. A claim *holds* if the "
        "interval lies wholly on the claimed side of zero (or of the claim's margin), *does not hold* if it lies "
        f"wholly on the other, and is *undecided* else. {count} seeds show large differences only, undecided does not "
        "mean equal, and the intervals are not corrected for the number of claims."
    )


def _sheets(*sheets: Sheet) -> str:
    return to_markdown([sheet for sheet in sheets if sheet.groups])


def _kept(path: Path) -> str:
    """The discussion of an earlier report."""
    if not path.exists():
        return ""
    _, line, text = path.read_text(encoding="utf-8").partition(f"\n{DISCUSSION}\n")
    return f"{DISCUSSION}\n{text}" if line else ""
