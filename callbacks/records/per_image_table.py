"""A table of the metrics of single test images, from all processes, each image once."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.lightning_internals import is_fast_dev_run
from callbacks.records.all_processes import gather_objects
from callbacks.records.frame_callback import FrameCallback, FrameOutput
from callbacks.records.wandb_media import log_table
from datamodules.files import set_aside, write_text_atomically

Row = dict[str, Any]


class PerImageTable(FrameCallback):
    """Write ``per_image.csv`` into the run folder, one row an image, and send the same table to W&B.

    A `fast_dev_run` writes none. Rows of other test sets, left by an earlier test in the folder, stay.
    """

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the rows of an earlier test."""
        self.rows: list[Row] = []

    def test_state(self) -> dict[str, Any]:
        """Return the rows so far, see :class:`~callbacks.checkpoints.test_progress.HasTestState`."""
        return {"rows": self.rows}

    def load_test_state(self, state: Mapping[str, Any]) -> None:
        """Take up the rows of a test that was stopped."""
        self.rows = state["rows"]

    def on_frame(self, trainer: Trainer, frame: FrameOutput) -> None:
        """Add the row of a frame."""
        place = {"dataset": frame.data.name, "index": frame.index, "scene": frame.scene, "frame": frame.number}
        self.rows.append({**place, **frame.metrics})

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather the rows of all processes, in the order of the data set, and write them.

        Raises:
            WriteError: if they cannot be written.
        """
        gathered = gather_objects(self.rows)
        rows = sorted((row for part in gathered for row in part), key=lambda row: (row["dataset"], row["index"]))
        if not trainer.is_global_zero or not rows or is_fast_dev_run(trainer):
            return
        path = Path(trainer.default_root_dir) / "per_image.csv"
        earlier = earlier_rows(path, {row["dataset"] for row in rows})
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=columns_of([*rows, *earlier]))
        writer.writeheader()
        writer.writerows(sorted([*rows, *earlier], key=lambda row: row["dataset"]))
        write_text_atomically(path, text.getvalue())
        columns = columns_of(rows)
        log_table(trainer, "test/per_image", columns, [[row.get(name) for name in columns] for row in rows])


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Return the names of all columns, in order of appearance: test sets may differ in what is measured."""
    return list(dict.fromkeys(name for row in rows for name in row))


def earlier_rows(path: Path, tested: set[str]) -> list[Row]:
    """Read the rows of a table that are of other test sets, as text, in their order.

    Args:
        path: of the table; where there is none, there are no rows, and a broken one is renamed to ``.broken``.
        tested: names of the test sets whose rows are left out.
    """
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows: list[Row] = list(csv.DictReader(file, strict=True))
        if any(None in row or None in row.values() or not row.get("dataset") for row in rows):
            raise ValueError("a line is cut")
    except (ValueError, csv.Error) as error:
        set_aside(path, error)
        return []
    return [row for row in rows if row["dataset"] not in tested]
