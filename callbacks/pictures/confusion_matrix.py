"""Which classes a method confuses, and how well it finds each."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, Trainer
from matplotlib.figure import Figure
from numpy.typing import NDArray

from callbacks.lightning_internals import datamodule_of
from callbacks.pictures.lettering import put_heading
from callbacks.pictures.picture_files import write_sheets
from callbacks.records.all_processes import gather_objects
from callbacks.records.optional_files import OptionalFiles
from callbacks.records.wandb_media import log_table

Counts = NDArray[np.int64]

#: Id, name, true pixels, accuracy and IoU of a class; None where it has none.
ClassRow = tuple[int, str, int, float | None, float | None]

COLUMNS = ("id", "class", "pixels", "accuracy", "iou")


class ConfusionMatrix(Callback):
    """Write ``confusion_<data set>.png`` and ``class_iou_<data set>.csv`` for methods that predict semantics.

    Both are made of the confusion matrix of a whole test set, which ``miou`` is computed from. W&B gets the pictures as
    ``test/confusion`` and the tables as ``test/class_iou/<data set>``.
    """

    def __init__(self) -> None:
        self.files = OptionalFiles("confusion matrices")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Add up the counts of all processes, before the module resets them, and draw them on the first."""
        sheets = {}
        for data in datamodule_of(trainer).test_sets():
            metric = dict(pl_module.evaluations[f"test/{data.name}"].metrics.items()).get("semantic")
            if metric is None or not metric.update_called:
                continue
            counts: Counts = np.sum(gather_objects(metric.confusion.cpu().numpy()), axis=0)
            if trainer.is_global_zero and counts.any():
                sheets[data.name] = draw_confusion(counts, data.class_names, f"{data.name}: true and predicted classes")
                self._write_table(trainer, data.name, class_rows(counts, data.class_names))
        write_sheets(trainer, self.files, "confusion", sheets)

    def _write_table(self, trainer: Trainer, dataset: str, rows: list[ClassRow]) -> None:
        path = Path(trainer.default_root_dir) / f"class_iou_{dataset}.csv"
        self.files.write_or_stop(path, as_csv(rows).encode())
        log_table(trainer, f"test/class_iou/{dataset}", ["dataset", *COLUMNS], [[dataset, *row] for row in rows])


def class_rows(counts: Counts, names: tuple[str, ...]) -> list[ClassRow]:
    """Return a row for each class, in the order of the ids.

    Args:
        counts: (C, C), pixels of true class i that are predicted as class j.
        names: of the C classes.
    """
    right, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    union = true + predicted - right
    return [
        (
            i + 1,
            name,
            int(true[i]),
            float(right[i] / true[i]) if true[i] else None,
            float(right[i] / union[i]) if union[i] else None,
        )
        for i, name in enumerate(names)
    ]


def as_csv(rows: list[ClassRow]) -> str:
    """Return rows as CSV text under :data:`COLUMNS`; what a class does not have is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([COLUMNS, *rows])
    return text.getvalue()


def draw_confusion(counts: Counts, names: tuple[str, ...], title: str) -> Figure:
    """Draw the share of each true class's pixels by predicted class, and the classes' IoU beside it.

    The most frequent true class comes first; classes that neither truth nor prediction has are left out.

    Args:
        counts: (C, C), pixels of true class i that are predicted as class j.
        names: of the C classes.
        title: of the sheet.
    """
    shown = [int(i) for i in np.argsort(-counts.sum(1), kind="stable") if counts[i].any() or counts[:, i].any()]
    pixels = counts[np.ix_(shown, shown)]
    shares = pixels / np.maximum(pixels.sum(1, keepdims=True), 1)
    labels, iou = [names[i] for i in shown], [class_rows(counts, names)[i][4] or 0.0 for i in shown]
    size = max(4.0, 0.22 * len(shown) + 1.5)
    figure = Figure(figsize=(size + 4.5, size), layout="constrained")
    put_heading(figure, title, x=0.004, ha="left", fontsize=11, fontweight="bold")
    matrix, bars = figure.subplots(1, 2, width_ratios=(size, 2.2))
    image = matrix.imshow(shares, vmin=0, vmax=1, cmap="viridis", aspect="equal")
    ticks = range(len(shown))
    matrix.set_xticks(ticks, labels, rotation=90, fontsize=7)
    matrix.set_yticks(ticks, labels, fontsize=7)
    matrix.set_xlabel("predicted class")
    matrix.set_ylabel("true class, the most frequent first")
    figure.colorbar(image, ax=matrix, label="share of the true class's pixels", shrink=0.7, location="left")
    bars.barh(ticks, iou, color="#2a9d5c")
    bars.set_yticks(ticks, labels, fontsize=7)
    bars.set_ylim(len(shown) - 0.5, -0.5)
    bars.set_xlim(0, 1)
    bars.set_xlabel("IoU")
    bars.grid(axis="x", alpha=0.3)
    return figure
