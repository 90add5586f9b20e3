"""How the runs behind a claims report were made: alike, where, from which code and data."""

from collections.abc import Callable, Sequence
from typing import Any

from experiments.comparison.flat_config import as_text, differences
from experiments.judging.claim import ClaimsSpec
from experiments.judging.outcomes import ArmRun


def is_synthetic(runs: Sequence[ArmRun]) -> bool:
    """Whether any run was trained on Rooms."""
    return any(_environment(run, "data", "synthetic") for run in runs)


def on_cpu(runs: Sequence[ArmRun]) -> bool:
    """Whether no run had a GPU to train on, as far as is recorded."""
    return not any(_environment(run, "hardware", "gpus") for run in runs)


def profiles(runs: Sequence[ArmRun]) -> list[str]:
    """Profiles of the runs, each once."""
    return list(dict.fromkeys(str(run.record.environment.get("profile") or "none") for run in runs))


def facts(runs: Sequence[ArmRun]) -> list[list[str]]:
    """Name and value of what was done, one value if it is the same of all runs, else one for each arm that has it."""
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
    """Options in which the arms differ, each with its value in every arm, from the runs of one seed."""
    seed = next(iter(spec.seeds), None)
    first = {run.arm: run.record.config for run in runs if run.seed == seed}
    found = differences([first.get(arm, {}) for arm in spec.trained])
    return [[key, *("" if value is None else value for value in values)] for key, values in found.items()]


def _environment(run: ArmRun, *keys: str) -> Any:
    return _at(run.record.environment, keys)


def _config(run: ArmRun, *keys: str) -> Any:
    return _at(run.record.config, keys)


def _at(tree: Any, keys: Sequence[str]) -> Any:
    """What lies under keys; None if one is absent."""
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
