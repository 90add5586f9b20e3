"""Which classes a method confuses, and how well it finds each."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import WandbLogger
from matplotlib.figure import Figure
from numpy.typing import NDArray

from callbacks.pictures.picture_files import left_out_if_unwritable, save_figure
from callbacks.records.all_processes import gather_objects
from datamodules.files import write_text_atomically

Counts = NDArray[np.int64]

COLUMNS = ("id", "class", "pixels", "accuracy", "iou")


class ConfusionMatrix(Callback):
    """Write ``confusion_<data set>.png`` and ``class_iou_<data set>.csv`` for methods that predict semantics.

    Both are made of the confusion matrix of the whole test set, which ``miou`` is computed from, and of each test set
    where there are several. W&B gets the pictures as ``test/confusion`` and the tables as
    ``test/class_iou/<data set>``.
    """

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Add up the counts of all processes, before the module resets them, and draw them on the first."""
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        pictures: dict[str, str] = {}
        for data in datamodule.test_sets():
            metric = dict(pl_module.evaluations[f"test/{data.name}"].metrics.items()).get("semantic")
            if metric is None or not metric.update_called:
                continue
            counts: Counts = np.sum(gather_objects(metric.confusion.cpu().numpy()), axis=0)
            if trainer.is_global_zero and counts.any():
                written = self._write(trainer, data.name, counts, data.class_names)
                pictures |= {} if written is None else {data.name: str(written)}
        if pictures and isinstance(trainer.logger, WandbLogger):
            trainer.logger.log_image("test/confusion", list(pictures.values()), caption=list(pictures))

    def _write(self, trainer: Trainer, dataset: str, counts: Counts, names: tuple[str, ...]) -> Path | None:
        """Picture and table of one test set; the path of the picture, None if it could not be written."""
        folder = Path(trainer.default_root_dir)
        rows = class_rows(counts, names)
        picture = folder / f"confusion_{dataset}.png"
        drawn = save_figure(draw_confusion(counts, names, f"{dataset}: true and predicted classes"), picture)
        with left_out_if_unwritable(table := folder / f"class_iou_{dataset}.csv"):
            write_text_atomically(table, as_csv(rows))
        if isinstance(trainer.logger, WandbLogger):
            data = [[dataset, *row] for row in rows]
            trainer.logger.log_table(f"test/class_iou/{dataset}", columns=["dataset", *COLUMNS], data=data)
        return picture if drawn else None


def class_rows(counts: Counts, names: tuple[str, ...]) -> list[tuple[int, str, int, float | None, float | None]]:
    """Id, name, true pixels, accuracy and IoU of each class, None where it has none; in the order of the ids.

    Args:
        counts: (C, C), pixels of true class i that are predicted as class j.
        names: of the classes.
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


def as_csv(rows: list[tuple[int, str, int, float | None, float | None]]) -> str:
    """Rows under :data:`COLUMNS`; what a class does not have is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([COLUMNS, *rows])
    return text.getvalue()


def draw_confusion(counts: Counts, names: tuple[str, ...], title: str) -> Figure:
    """Shares of each true class's pixels by predicted class, the most frequent class first, and the IoU beside them.

    Classes that neither truth nor prediction has are left out.
    """
    shown = [int(i) for i in np.argsort(-counts.sum(1), kind="stable") if counts[i].any() or counts[:, i].any()]
    pixels = counts[np.ix_(shown, shown)]
    shares = pixels / np.maximum(pixels.sum(1, keepdims=True), 1)
    labels, iou = [names[i] for i in shown], [class_rows(counts, names)[i][4] or 0.0 for i in shown]
    size = max(4.0, 0.22 * len(shown) + 1.5)
    figure = Figure(figsize=(size + 4.5, size), layout="constrained")
    figure.suptitle(title, x=0.004, ha="left", fontsize=11, fontweight="bold")
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
