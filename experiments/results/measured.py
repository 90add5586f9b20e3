"""Which measured values may stand beside a published row.

A run counts if it was trained on the row's training data and tested on the row's test data. What else sets it apart
from the paper (a quick profile, fewer frames, another protocol) is listed as a remark beside the value.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from experiments.results.finished_runs import RunResult
from experiments.results.published import (
    GEOMETRIES,
    METRICS,
    OTHER_READINGS,
    TEST_DATA,
    TRAIN_DATA,
    Conditions,
    PublishedRow,
)

Choice = Literal["latest", "mean"]


@dataclass(frozen=True)
class Measurement:
    """Metrics of one run, or means over runs that differ in their seed.

    Attributes:
        results: the runs, newest first.
        values: published metric name to value; what was not measured is absent.
        deviations: standard deviation over the runs (n - 1), where there are several.
        remarks: what sets the runs apart from the paper.
    """

    results: tuple[RunResult, ...]
    values: dict[str, float]
    deviations: dict[str, float]
    remarks: tuple[str, ...]


def measure(
    row: PublishedRow, results: Sequence[RunResult], choice: Choice, experiment: str | None = None, variant: str = ""
) -> Measurement | None:
    """Return what was measured of a published row; None if no run may be compared with it.

    Args:
        row: row of a published table.
        results: results of all runs, oldest first.
        choice: ``latest`` run, preferably one without remarks; or ``mean`` over the latest run of each seed, among runs
            with the same remarks.
        experiment: experiment that repeats the row; None for the row's own.
        variant: name of a variant of the test set; empty for the test set itself.
    """
    expected = TEST_DATA[row.test_data]
    own = [result for result in reversed(results) if result.experiment == (experiment or row.experiment)]
    own = [result for result in own if objection(row, result, variant) is None]
    own = [result for result in own if metrics_of(result, list(row.shown))]
    return summarize(own, list(row.shown), expected, choice)


def other_measurements(
    row: PublishedRow, results: Sequence[RunResult], choice: Choice
) -> Iterator[tuple[str, Measurement]]:
    """Yield what else was measured of a row, each with its name: another geometry, or another reading of the paper."""
    for experiment in (row.experiment, *OTHER_READINGS.get(row.experiment, ())):
        for variant, title in {"": "", **GEOMETRIES}.items():
            other = experiment != row.experiment
            if (other or variant) and (measured := measure(row, results, choice, experiment, variant)):
                yield ", ".join(filter(None, (experiment if other else "", title))), measured


def measure_rooms(
    experiment: str, metrics: Sequence[str], results: Sequence[RunResult], choice: Choice
) -> list[Measurement]:
    """Return what was measured of an experiment on Rooms, once for each format that Rooms were written in."""
    own = [result for result in reversed(results) if result.experiment == experiment]
    own = [result for result in own if result.dataset.startswith("rooms") and metrics_of(result, metrics)]
    own = [result for result in own if not result.variant.get("corruption")]
    by_dataset = [[r for r in own if r.dataset == name] for name in sorted({result.dataset for result in own})]
    return [m for group in by_dataset if (m := summarize(group, metrics, Conditions("rooms"), choice))]


def objection(row: PublishedRow, result: RunResult, variant: str = "") -> str | None:
    """Return why a run's result may not be compared with a published row; None if it may.

    Raises:
        ConfigError: if a record of the run cannot be read.
    """
    expected = TEST_DATA[row.test_data]
    if result.dataset != "_".join(filter(None, (expected.name, variant))):
        return f"tested on {result.dataset}, not on {expected.name}"
    if result.trained_on not in TRAIN_DATA[row.train_data]:
        return f"trained on {result.trained_on or 'unrecorded data'}, not on {row.train_data}"
    tested, _ = result.tested_with
    if not tested:
        return f"no record of how it was tested on {result.dataset}: test it again"
    for name, value in expected.options.items():
        for stage, environment in (("tested", tested), ("trained", result.environment)):
            options = environment.get("data", {}).get("options", {})
            found = options.get(name, value if stage == "trained" else "unrecorded")
            if found != value:
                return f"{stage} with {name} {found}, not {value}"
    return None


def summarize(
    results: Sequence[RunResult], metrics: Sequence[str], expected: Conditions, choice: Choice
) -> Measurement | None:
    """Return the metrics of the latest result, or means; ``results`` are newest first."""
    if not results:
        return None
    newest = min(results, key=lambda result: bool(remarks(result, expected)))  # min takes the first of equals
    chosen, said = [newest], remarks(newest, expected)
    if choice == "mean":
        by_seed: dict[str, RunResult] = {}
        for result in results:
            if remarks(result, expected) == said:
                by_seed.setdefault(result.seed, result)
        chosen = list(by_seed.values())
    found = [metrics_of(result, metrics) for result in chosen]
    common = [metric for metric in metrics if all(metric in values for values in found)]
    columns = {metric: [values[metric] for values in found] for metric in common}
    several = len(chosen) > 1
    return Measurement(
        results=tuple(chosen),
        values={metric: float(np.mean(values)) for metric, values in columns.items()},
        deviations={metric: float(np.std(values, ddof=1)) for metric, values in columns.items()} if several else {},
        remarks=said,
    )


def metrics_of(result: RunResult, metrics: Sequence[str]) -> dict[str, float]:
    """Map each published metric to the run's value, where the run has one in the published unit."""
    unit = protocol_of(result).get("unit", 1.0)
    values = {}
    for name in metrics:
        metric = METRICS[name]
        if metric.unit not in (None, unit):
            continue
        if metric.key in result.metrics:
            values[name] = result.metrics[metric.key]
        elif metric.logged and (value := best_logged(result, metric.logged, metric.better)) is not None:
            values[name] = value
    return values


def best_logged(result: RunResult, name: str, arrow: Literal["↑", "↓"]) -> float | None:
    """Return the best value of a validation metric in the history of a run's training; None where it was not logged."""
    from callbacks.records.history import (
        read_history,  # imports torch, which tables without such a metric start without
    )

    logged = [line.get(name) for line in read_history(result.folder / "history.jsonl")]
    values = [float(value) for value in logged if value is not None and math.isfinite(value)]
    if not values:
        return None
    return max(values) if arrow == "↑" else min(values)


def remarks(result: RunResult, expected: Conditions) -> tuple[str, ...]:
    """Return what sets a run apart from the paper, although it may be compared."""
    tested, config = result.tested_with
    said = []
    profile = result.environment.get("profile")
    if profile not in ("", "paper"):
        said.append(f"{profile} profile" if profile else "unknown profile")
    frames = tested.get("data", {}).get("frames", {}).get("test")
    if not expected.has_frames(frames):
        wanted = f"{'about ' if expected.rough else ''}{expected.frames:,}"
        said.append(f"{frames:,} frames instead of {wanted}" if frames else "unknown number of frames")
    said += result.said_of_data
    said += limits(config.get("trainer") or {})
    protocol = protocol_of(result).get("name", "unknown")
    if expected.protocol and protocol != expected.protocol:
        said.append(f"protocol {protocol} instead of {expected.protocol}")
    return tuple(said)


def limits(trainer: Mapping[str, Any]) -> list[str]:
    """Return what kept a run from being trained and tested in full."""
    said = []
    for name in ("limit_train_batches", "limit_test_batches"):
        limit = trainer.get(name)
        if limit is not None and not (isinstance(limit, float) and limit == 1):  # the integer 1 is a single batch
            said.append(f"{name} {limit}")
    if trainer.get("overfit_batches"):
        said.append(f"overfit_batches {trainer['overfit_batches']}")
    if trainer.get("max_time") is not None:
        said.append(f"max_time {trainer['max_time']}")
    if 0 in (trainer.get("max_epochs"), trainer.get("max_steps")):
        said.append("not trained")
    if trainer.get("fast_dev_run"):
        said.append("fast_dev_run")
    return said


def boundary_remarks(measurement: Measurement) -> tuple[str, ...]:
    """Return how boundary metrics were computed, and what distorts them; no reason to take another run."""
    if not any(name.startswith("boundary_eps") for name in measurement.values):
        return ()
    said = []
    for result in measurement.results:
        _, config = result.tested_with
        boundary = (config.get("model", {}).get("init_args", {}).get("evaluation") or {}).get("boundary") or {}
        thresholds = [f"{boundary[name]:g}" if name in boundary else "unrecorded" for name in ("low", "high")]
        from lightning_modules.metrics.boundary import empty_remark  # imports torch

        said += [f"Canny {' / '.join(dict.fromkeys(thresholds))}", empty_remark(result.metrics)]
    return tuple(dict.fromkeys(filter(None, said)))


def protocol_of(result: RunResult) -> dict[str, Any]:
    """Return the evaluation protocol of a test; empty where none is recorded."""
    _, config = result.tested_with
    return config.get("model", {}).get("init_args", {}).get("protocol") or {}
