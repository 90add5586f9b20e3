"""One row per test image, from all processes, each image once."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from callbacks.records.all_processes import gather_objects
from datamodules.files import set_aside, write_text_atomically

Row = dict[str, Any]


class PerImageTable(Callback):
    """Write ``per_image.csv`` into the run folder, and the same table to W&B.

    A `fast_dev_run` writes none. Rows that an earlier test in the folder has left of other test sets stay.
    """

    #: What grows with each batch of a test.
    kept_in_test: ClassVar[tuple[str, ...]] = ("rows",)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the rows of an earlier test."""
        self.rows: list[Row] = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect the rows of a batch."""
        dataset = trainer.datamodule.test_names()[dataloader_idx]  # type: ignore[attr-defined]
        figures = {name: values.tolist() for name, values in outputs["per_image"].items()}
        for i, index in enumerate(batch["index"].tolist()):
            row = {"dataset": dataset, "index": index, "scene": batch["scene"][i], "frame": int(batch["frame"][i])}
            self.rows.append(row | {name: values[i] for name, values in figures.items()})

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather the rows of all processes, in the order of the data set, and write them."""
        gathered = gather_objects(self.rows)
        rows = sorted((row for part in gathered for row in part), key=lambda row: (row["dataset"], row["index"]))
        if not trainer.is_global_zero or not rows or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        path = Path(trainer.default_root_dir) / "per_image.csv"
        earlier = earlier_rows(path, {row["dataset"] for row in rows})
        columns = columns_of([*rows, *earlier])
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=columns)
        writer.writeheader()
        writer.writerows(sorted([*rows, *earlier], key=lambda row: row["dataset"]))
        write_text_atomically(path, text.getvalue())
        if isinstance(trainer.logger, WandbLogger):
            columns = columns_of(rows)
            data = [[row.get(name) for name in columns] for row in rows]
            trainer.logger.log_table("test/per_image", columns=columns, data=data)


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Names of all columns of a table whose test sets may differ in what is measured."""
    return list(dict.fromkeys(name for row in rows for name in row))


def earlier_rows(path: Path, tested: set[str]) -> list[Row]:
    """Rows of a table that are of none of some test sets, as text, in their order; none where there is no table.

    A broken table is set aside.
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
