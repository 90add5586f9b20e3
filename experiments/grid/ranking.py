"""The metrics of a sweep: a table for the terminal and `sweep.csv`, best first."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from callbacks.checkpoints.checkpoint_io import DamagedCheckpointError, load_mapped
from callbacks.records.history import read_history
from datamodules.files import write_text_atomically
from experiments.config.compose import ConfigError
from experiments.grid.jobs import Job
from experiments.grid.search_space import Sweep
from experiments.results.run_files import leave_out, read_json

#: Test metrics of the table; the CSV file has all.
SHOWN = ("abs_rel", "rmse", "delta1")

Row = dict[str, Any]


def rank(sweep: Sweep, jobs: Sequence[Job], status: Mapping[Path, str]) -> list[Row]:
    """Return one row per point: run, status, parameters, the sweep's metric and all test metrics; best first.

    A point without a finite metric comes last.
    """
    rows = []
    for job in jobs:
        metrics = _metrics(job)
        own = {sweep.metric: metrics.get(sweep.metric, best_score(job, sweep.metric))} if sweep.metric else {}
        run: Row = {"run": job.title, "status": status[job.folder]}
        rows.append({**run, **job.point, **own, **metrics})
    sign = -1 if sweep.goal == "maximize" else 1

    def order(row: Row) -> tuple[bool, float]:
        value = row.get(sweep.metric, math.nan)
        return (False, sign * value) if math.isfinite(value) else (True, 0)

    return sorted(rows, key=order)


def best_score(job: Job, metric: str) -> float:
    """Return a validation metric of a finished run's best checkpoint; NaN if no record has it.

    Where the checkpoint was chosen by another metric, the validation at which that one had its best value tells.
    """
    path = job.folder / "checkpoints" / "best.ckpt"
    if not job.is_finished or not path.exists():
        return math.nan
    try:
        states = load_mapped(path).get("callbacks", {}).values()
        scores = {state["monitor"]: state["best_model_score"] for state in states if state.get("monitor")}
        best = {monitor: float(score) for monitor, score in scores.items() if score is not None}
    except (AttributeError, DamagedCheckpointError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        leave_out(ConfigError(f"{path}: cannot be read ({reason})"))
        return math.nan
    if metric in best:
        return best[metric]
    for line in read_history(job.folder / "history.jsonl"):
        if any(math.isclose(line.get(monitor) or math.nan, score, rel_tol=1e-5) for monitor, score in best.items()):
            return float(line.get(metric) or math.nan)
    return math.nan


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write all columns of all rows as CSV; what a row does not have stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomically(path, text.getvalue())


def table(sweep: Sweep, rows: Sequence[Row]) -> Table:
    """Return a table of the parameters, the sweep's metric and the usual test metrics."""
    tests = [key for row in rows for key in row if key.startswith("test/") and key.rpartition("/")[2] in SHOWN]
    metrics = list(dict.fromkeys([*filter(None, [sweep.metric]), *tests]))
    shown = Table(
        *(name.rpartition(".")[2] for name in sweep.parameters), *metrics, "status",
        title=f"{sweep.name}, by {sweep.metric or 'no metric'}", title_justify="left",
    )  # fmt: skip
    for row in rows:
        values = [f"{row[key]:.4f}" if isinstance(row.get(key), int | float) else "" for key in metrics]
        shown.add_row(*(str(row[name]) for name in sweep.parameters), *values, row["status"])
    return shown


def _metrics(job: Job) -> dict[str, Any]:
    """Return a run's ``metrics.json``; empty, with a warning, if the file is broken."""
    try:
        content = read_json(job.folder / "metrics.json")
    except ConfigError as error:
        leave_out(error)
        return {}
    return {key: math.nan if value is None else value for key, value in content.items()}
