"""What the page shows, as plain JSON: columns instead of rows, five significant digits."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from experiments.comparison.flat_config import differences
from experiments.comparison.frame_groups import DIFFERENT_FRAMES, frame_labels
from experiments.comparison.run_records import FrameTable, RunRecord
from experiments.results.finished_runs import RunResult
from experiments.results.marks import oracle_mark, oracle_of
from experiments.results.measured import metrics_of, objection, remarks
from experiments.results.metric_facts import facts_on, sign_of
from experiments.results.published import METRICS, TEST_DATA, PublishedRow, PublishedTable
from experiments.results.published_notes import all_notes

Json = dict[str, Any]


def page_data(
    runs: Sequence[RunRecord],
    tables: Sequence[PublishedTable],
    title: str,
    page: Path,
    frames: Mapping[tuple[int, str], FrameTable],
) -> Json:
    """Return all data of the page but the per-image metrics, which :func:`frame_data` gives.

    Args:
        runs: runs in the order in which the page numbers them.
        tables: published tables to compare with.
        title: title of the page.
        page: file that will hold the page; run folders are linked relative to it.
        frames: (position of a run, test set) to per-image metrics.
    """
    results = [(number, result) for number, run in enumerate(runs) for result in run.results]
    labels = frame_labels(runs, frames)
    names = sorted({name for _, result in results for name in result.metrics}, key=_rank)
    return {
        "title": title,
        "different_frames": DIFFERENT_FRAMES,
        "created": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "metrics": [{"key": name, "better": sign_of(name), "unit": facts_on(name).unit} for name in names],
        "runs": [run_data(run, page) for run in runs],
        "results": [
            {
                "run": number,
                "dataset": result.dataset,
                "label": labels[number, result.dataset],
                "synthetic": result.dataset.startswith("rooms"),
                "mark": result.mark,
                "metrics": [shorten(result.metrics.get(name)) for name in names],
                "published": published_for(result, tables),
                "frames": f"frames-{number}-{result.dataset}" if (number, result.dataset) in frames else None,
            }
            for number, result in results
        ],
        "published": [
            {
                "method": row.method, "experiment": row.experiment, "table": table.title,
                "mark": oracle_mark(oracle_of(row.experiment)),
                "train": row.train_data, "test": row.test_data, "dataset": TEST_DATA[row.test_data].name,
                "values": published_values(row.values),
                "notes": published_notes(table, row),
            }
            for table in tables
            for row in table.rows
        ],
        "config": differences([run.config for run in runs]),
    }  # fmt: skip


def run_data(run: RunRecord, page: Path) -> Json:
    """Return what the page says of a run besides its metrics."""
    record = RunResult(run.folder, "", {}, run.environment)
    data = run.environment.get("data") or {}
    thumbnails = run.thumbnails()
    missing = {
        "no metrics.json: the run is not finished, or not tested": not run.results,
        "no per_image.csv: test the run again for the scatter plot": not (run.place / "per_image.csv").exists(),
        "no history.jsonl: made without the History callback, no curves": not run.history,
        "no thumbnails: made without the Thumbnails callback, no pictures": not thumbnails,
        "no config.yaml: no configuration to compare": not run.config,
    }
    return {
        "experiment": run.experiment,
        "mark": record.oracle,
        "name": run.folder.name,
        "folder": quote(Path(os.path.relpath(run.folder, page.parent)).as_posix()),
        "seed": record.seed,
        "commit": record.commit,
        "profile": str(run.environment.get("profile") or ""),
        "data": record.trained_on or "",
        "synthetic": bool(data.get("synthetic")),
        "started": str(run.environment.get("started") or "")[:16].replace("T", " "),
        "tags": run.tags,
        "thumbnails": thumbnails,
        "missing": [text for text, absent in missing.items() if absent],
    }


def history_data(lines: Iterable[Json]) -> dict[str, Json]:
    """Map each metric of the history to its steps, epochs and values."""
    curves: dict[str, Json] = {}
    for line in lines:
        for name, value in line.items():
            if name in ("step", "epoch") or isinstance(value, bool) or not isinstance(value, int | float | None):
                continue
            curve = curves.setdefault(name, {"step": [], "epoch": [], "value": []})
            curve["step"].append(line["step"])
            curve["epoch"].append(line.get("epoch"))
            curve["value"].append(shorten(value))
    return dict(sorted(curves.items()))


def published_for(result: RunResult, tables: Sequence[PublishedTable]) -> dict[str, list[Json]]:
    """Map metric keys to what was published of the same method on the same data, and what sets the run apart.

    Raises:
        ConfigError: if a record of the run cannot be read.
    """
    found: dict[str, list[Json]] = {}
    for table in tables:
        for row in table.rows:
            if row.experiment != result.experiment or objection(row, result):
                continue
            notes = list(remarks(result, TEST_DATA[row.test_data]))
            comparable = metrics_of(result, list(row.values))
            doubts = published_notes(table, row)
            for key, value in published_values({name: row.values[name] for name in comparable}).items():
                said = {"value": value, "source": f"{table.title}, {row.method}", "remarks": notes}
                found.setdefault(key, []).append(said | {"notes": doubts.get(key, [])})
    return found


def published_values(values: Mapping[str, str]) -> dict[str, float]:
    """Map keys of ``metrics.json`` to published values; what testing does not give is left out."""
    keys = {name: METRICS[name].key for name in values}
    return {key: float(values[name]) for name, key in keys.items() if key is not None}


def published_notes(table: PublishedTable, row: PublishedRow) -> dict[str, list[str]]:
    """Map keys of ``metrics.json`` to the notes on the published value; those without notes are left out."""
    found = {METRICS[name].key: all_notes(table, row, name) for name in row.values}
    return {key: notes for key, notes in found.items() if key is not None and notes}


def frame_data(table: FrameTable) -> Json:
    """Return per-image metrics, in columns."""
    return {
        "index": [index for index, _, _ in table.frames],
        "scene": [scene for _, scene, _ in table.frames],
        "frame": [frame for _, _, frame in table.frames],
        "metrics": {name: [shorten(value) for value in values] for name, values in table.metrics.items()},
        "better": {name: sign_of(name) for name in table.metrics},
    }


def shorten(value: float | None) -> float | int | None:
    """Round to five significant digits; None where the value is not finite, for which JSON has no word."""
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.5g}")
    return int(short) if short.is_integer() else short


def _rank(name: str) -> tuple[int, int, str]:
    """Return the sort key of a metric: those of published tables first, counts and baselines last."""
    published = [metric.key for metric in METRICS.values()]
    late = (sign_of(name) == 0) + 2 * name.startswith("baseline_")
    return late, published.index(name) if name in published else len(published), name
