"""Reads what the folder of a run, finished or not, holds for the comparison page and the claims."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from callbacks.records.history import read_history
from experiments.config.compose import ConfigError
from experiments.results.changed_tests import find_tests
from experiments.results.finished_runs import RunResult, read_run
from experiments.results.of_run import OfRun, folder_of_test
from experiments.results.run_files import leave_out, read_json, read_yaml

#: Columns of ``per_image.csv`` that name the frame.
FRAME_COLUMNS = ("dataset", "index", "scene", "frame")

#: A folder that holds any one of these files is a run's.
TRACES = ("config.yaml", "metrics.json", "history.jsonl")


@dataclass(frozen=True)
class FrameTable:
    """Per-image metrics of one test set.

    Attributes:
        frames: (index, scene, frame) of each image, in the data set's order.
        metrics: metric name to one value per image, NaN where an image has none.
    """

    frames: tuple[tuple[int, str, str], ...]
    metrics: dict[str, list[float]]


@dataclass(frozen=True)
class RunRecord(OfRun):
    """The folder of one run.

    Attributes:
        folder: ``<root>/<experiment>/<run>``.
        test: name of a further test, whose metrics are shown; empty for the run's own.
    """

    test: str = ""

    @property
    def place(self) -> Path:
        """Return the folder of the test's metrics and pictures."""
        return folder_of_test(self.folder, self.test)

    @cached_property
    def results(self) -> tuple[RunResult, ...]:
        """Return the run's metrics, one per test set; none for a run that is not finished."""
        return tuple(read_run(self.folder, self.test))

    def is_readable(self, *, frames: bool) -> bool:
        """Return whether all files that a reader of the run needs can be read; warn of those that cannot.

        Args:
            frames: whether per-image metrics are needed.
        """
        return self._is_recorded and (not frames or self._has_frames)

    @cached_property
    def _is_recorded(self) -> bool:
        return self._can_read(lambda: self.results)

    @cached_property
    def _has_frames(self) -> bool:
        return self._can_read(self.frame_tables)

    @staticmethod
    def _can_read(read: Callable[[], object]) -> bool:
        try:
            read()
        except ConfigError as error:
            leave_out(error)
            return False
        return True

    @cached_property
    def config(self) -> dict[str, Any]:
        """Return resolved configuration."""
        return read_yaml(self.folder / "config.yaml")

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Record of the command that made the run."""
        return read_json(self.folder / "environment.json")

    @cached_property
    def tags(self) -> list[str]:
        """Return the run's tags, as W&B has them."""
        return [str(tag) for tag in (self.config.get("run") or {}).get("tags") or []]

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """Return points of the curves, as :class:`~callbacks.History` wrote them."""
        return read_history(self.folder / "history.jsonl")

    def frame_tables(self) -> dict[str, FrameTable]:
        """Map each test set to its per-image metrics; empty where there is no ``per_image.csv``.

        Raises:
            ConfigError: naming file and line, if it cannot be read.
        """
        return self._frame_tables

    @cached_property
    def _frame_tables(self) -> dict[str, FrameTable]:
        path = self.place / "per_image.csv"
        rows: dict[str, list[tuple[tuple[int, str, str], list[float]]]] = {}
        header, number = [""], 0
        try:
            with path.open(encoding="utf-8", newline="") as file:
                reader = csv.reader(file)
                header = next(reader, [])
                if tuple(header[:4]) != FRAME_COLUMNS:
                    raise ConfigError(f"{path}: need the columns {','.join(FRAME_COLUMNS)} first; test the run again")
                for cells in reader:
                    number = reader.line_num
                    dataset, index, scene, frame, *numbers = cells
                    values = [float(cell) if cell else math.nan for cell in numbers]
                    if len(cells) != len(header):
                        raise ValueError(f"{len(cells)} cells under {len(header)} columns")
                    rows.setdefault(dataset, []).append(((int(index), scene, frame), values))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
        except (ValueError, csv.Error) as error:
            raise ConfigError(f"{path}, line {number}: {error}; test the run again") from error
        tables = {}
        for dataset, lines in rows.items():
            columns = zip(*(values for _, values in lines), strict=True)
            by_name = dict(zip(header[4:], map(list, columns), strict=True))
            known = {name: values for name, values in by_name.items() if not all(map(math.isnan, values))}
            tables[dataset] = FrameTable(tuple(frame for frame, _ in lines), known)
        return tables

    def thumbnails(self) -> dict[str, list[int]]:
        """Map each test set to the indices of frames that have a picture."""
        found: dict[str, list[int]] = {}
        for path in sorted((self.place / "thumbnails").glob("*/*.jpg")):
            if path.stem.isdigit():
                found.setdefault(path.parent.name, []).append(int(path.stem))
        return found

    def thumbnail(self, dataset: str, index: int) -> Path:
        """Return the path of a frame's picture."""
        return self.place / "thumbnails" / dataset / f"{index:04d}.jpg"


def find_runs(root: Path, experiments: Sequence[str] = (), *, frames: bool = True, test: str = "") -> list[RunRecord]:
    """Return every run under ``root``, in the order of their names; broken ones are left out, with a warning.

    Args:
        root: folder of all runs.
        experiments: names of experiments; all by default.
        frames: whether a run whose ``per_image.csv`` is broken counts as broken.
        test: name of a further test to read instead of the runs' own; runs without it are skipped.
    """
    folders = sorted({path.parent for trace in TRACES for path in root.glob(f"*/*/{trace}")})
    wanted = [folder for folder in folders if not experiments or folder.parent.name in experiments]
    wanted = [folder for folder in wanted if not test or test in find_tests(folder)]
    runs = (RunRecord(folder, test) for folder in wanted)
    return [run for run in runs if run.is_readable(frames=frames)]
