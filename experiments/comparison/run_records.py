"""What lies in the folder of a run, finished or not, as far as the page shows it."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from callbacks.history import read_history
from experiments.compose import ConfigError
from experiments.finished_runs import RunResult, read_json, read_yaml

#: Columns of ``per_image.csv`` that name the frame.
FRAME_COLUMNS = ("dataset", "index", "scene", "frame")

#: Files of which any one makes a folder that of a run.
TRACES = ("config.yaml", "metrics.json", "history.jsonl")


@dataclass(frozen=True)
class FrameTable:
    """Figures of single images of one test set.

    Attributes:
        frames: (index, scene, frame) of each image, in the data set's order.
        figures: metric name to one figure an image, NaN where an image has none.
    """

    frames: tuple[tuple[int, str, str], ...]
    figures: dict[str, list[float]]


@dataclass(frozen=True)
class RunRecord:
    """A run's folder.

    Attributes:
        folder: ``<root>/<experiment>/<run>``.
        results: the run's figures, one per test set; none for a run that is not finished.
    """

    folder: Path
    results: tuple[RunResult, ...]

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        return self.folder.parent.name

    @cached_property
    def config(self) -> dict[str, Any]:
        """Resolved configuration."""
        return read_yaml(self.folder / "config.yaml")

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Record of the command that made the run."""
        return read_json(self.folder / "environment.json")

    @cached_property
    def tags(self) -> list[str]:
        """The run's tags, as W&B has them."""
        return [str(tag) for tag in (self.config.get("run") or {}).get("tags") or []]

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """Points of the curves, as :class:`~callbacks.History` wrote them."""
        return read_history(self.folder / "history.jsonl")

    def frame_tables(self) -> dict[str, FrameTable]:
        """Test set to figures of its images; empty where there is no ``per_image.csv``.

        Raises:
            ConfigError: naming file and line, if it cannot be read.
        """
        path = self.folder / "per_image.csv"
        if not path.exists():
            return {}
        rows: dict[str, list[tuple[tuple[int, str, str], list[float]]]] = {}
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if tuple(header[:4]) != FRAME_COLUMNS:
                raise ConfigError(f"{path}: need the columns {','.join(FRAME_COLUMNS)} first; test the run again")
            for cells in reader:
                try:
                    dataset, index, scene, frame, *figures = cells
                    values = [float(cell) if cell else math.nan for cell in figures]
                    if len(cells) != len(header):
                        raise ValueError(f"{len(cells)} cells under {len(header)} columns")
                    rows.setdefault(dataset, []).append(((int(index), scene, frame), values))
                except ValueError as error:
                    raise ConfigError(f"{path}, line {reader.line_num}: {error}; test the run again") from error
        tables = {}
        for dataset, lines in rows.items():
            columns = zip(*(values for _, values in lines), strict=True)
            by_name = dict(zip(header[4:], map(list, columns), strict=True))
            known = {name: values for name, values in by_name.items() if not all(map(math.isnan, values))}
            tables[dataset] = FrameTable(tuple(frame for frame, _ in lines), known)
        return tables

    def thumbnails(self) -> dict[str, list[int]]:
        """Test set to the indices of frames that have a picture."""
        found: dict[str, list[int]] = {}
        for path in sorted((self.folder / "thumbnails").glob("*/*.jpg")):
            if path.stem.isdigit():
                found.setdefault(path.parent.name, []).append(int(path.stem))
        return found

    def thumbnail(self, dataset: str, index: int) -> Path:
        """Where the picture of a frame lies."""
        return self.folder / "thumbnails" / dataset / f"{index:04d}.jpg"


def find_runs(root: Path, results: Sequence[RunResult], experiments: Sequence[str] = ()) -> list[RunRecord]:
    """Every run under ``root``, in the order of their names.

    Args:
        root: folder of all runs.
        results: of those that are finished.
        experiments: names of experiments; all by default.
    """
    by_folder: dict[Path, list[RunResult]] = {}
    for result in results:
        by_folder.setdefault(result.folder, []).append(result)
    folders = sorted({path.parent for trace in TRACES for path in root.glob(f"*/*/{trace}")})
    return [
        RunRecord(folder, tuple(by_folder.get(folder, ())))
        for folder in folders
        if not experiments or folder.parent.name in experiments
    ]
