"""The test frames that a method gets most wrong, on one sheet."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import cv2
import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from matplotlib.figure import Figure

from callbacks.pictures.colors import Picture
from callbacks.pictures.frame_view import depth_scale, error_scale, view_frame
from callbacks.pictures.picture_files import save_figure
from callbacks.records.all_processes import gather_objects
from lightning_modules.metrics import EvalProtocol

#: Width in pixels that pictures are reduced to: they wait in memory, and travel between processes.
MAX_WIDTH = 400


@dataclass(frozen=True)
class Case:
    """A frame of the sheet.

    Attributes:
        error: the figure by which frames are ranked; infinite where the prediction is not finite.
        index: number of the frame in its data set, as in ``per_image.csv``.
        title: scene and frame.
        pictures: image, truth, prediction and relative error, each (h, w, 3).
        low: metres, where the colours of depth begin.
        high: metres, where they end.
    """

    error: float
    index: int
    title: str
    pictures: tuple[Picture, ...]
    low: float
    high: float

    @property
    def rank(self) -> tuple[float, int]:
        """Sorts cases, the worst first."""
        return -self.error, self.index


class WorstCases(Callback):
    """Write ``worst_<data set>.png`` into the run folder: the test frames with the largest error, worst first.

    A frame whose prediction is not finite is worse than any other; one without an evaluated pixel has no error and is
    never shown, nor is any of a method that predicts no depth. The frames are the same for every number of processes.

    Args:
        frames: how many of each test set.
        metric: figure of single images, of which larger is worse.

    Raises:
        ValueError: if ``frames`` is not positive.
    """

    #: What grows with each batch of a test.
    kept_in_test: ClassVar[tuple[str, ...]] = ("cases",)

    def __init__(self, frames: int = 6, metric: str = "abs_rel"):
        if frames < 1:
            raise ValueError(f"WorstCases: `frames` must be positive, got {frames}; leave the callback out for none")
        self.frames, self.metric = frames, metric

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier test."""
        self.cases: dict[str, list[Case]] = {name: [] for name in _datamodule(trainer).test_names()}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep those frames of a batch that are among the worst so far.

        Raises:
            ValueError: if single images have no such figure.
        """
        if outputs["prediction"].depth is None:
            return
        if self.metric not in outputs["per_image"]:
            known = ", ".join(outputs["per_image"])
            raise ValueError(f"WorstCases: `metric`: images have no figure `{self.metric}`; they have {known}")
        name = _datamodule(trainer).test_names()[dataloader_idx]
        errors = outputs["per_image"][self.metric].tolist()
        for i, (error, index) in enumerate(zip(errors, batch["index"].tolist(), strict=True)):
            cases = self.cases[name]
            if len(cases) == self.frames and (-error, index) > cases[-1].rank:
                continue
            case = make_case(error, outputs["prediction"], batch, i, pl_module, outputs.get("protocol"))
            if case is not None:
                self.cases[name] = sorted([*cases, case], key=lambda case: case.rank)[: self.frames]

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather the cases of all processes, and draw them on the first."""
        gathered = gather_objects(self.cases)
        if not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir)
        for name in self.cases:
            cases = sorted((case for part in gathered for case in part[name]), key=lambda case: case.rank)
            if cases:
                path = folder / f"worst_{name}.png"
                title = f"{name}: the {min(len(cases), self.frames)} test frames with the largest {self.metric}"
                if truth := getattr(pl_module, "oracle", ""):
                    title += f" (oracle {truth})"
                written = save_figure(draw_sheet(cases[: self.frames], title, self.metric), path)
                if written and isinstance(trainer.logger, WandbLogger):
                    trainer.logger.log_image("test/worst", [str(path)], caption=[name])


def _datamodule(trainer: Trainer) -> Any:
    return trainer.datamodule  # type: ignore[attr-defined]


def make_case(
    error: float, prediction: Any, batch: Any, i: int, pl_module: Any, protocol: EvalProtocol | None = None
) -> Case | None:
    """The case of frame ``i`` of a batch; None where there is nothing that could be wrong.

    Args:
        error: of the frame; NaN if nothing is evaluated, or if the prediction is not finite.
        prediction: the method's, for the batch.
        batch: the batch.
        i: position in the batch.
        pl_module: the method.
        protocol: of the test set.
    """
    view = view_frame(prediction, batch, i, pl_module, protocol=protocol)
    if math.isnan(error):
        if view.predicted is None or np.isfinite(view.predicted[view.evaluated]).all():
            return None
        error = math.inf
    index = int(batch["index"][i])
    title = f"{batch['scene'][i]}, frame {int(batch['frame'][i])}, index {index}"
    pictures = tuple(_reduced(picture) for picture in (view.image, *view.pictures()))
    return Case(error, index, title, pictures, view.low, view.high)


def _reduced(picture: Picture) -> Picture:
    """A picture (h, w, 3) at no more than :data:`MAX_WIDTH`."""
    height, width = picture.shape[:2]
    if width <= MAX_WIDTH:
        return picture
    return cast(
        Picture, cv2.resize(picture, (MAX_WIDTH, round(height * MAX_WIDTH / width)), interpolation=cv2.INTER_AREA)
    )


def draw_sheet(cases: list[Case], title: str, metric: str) -> Figure:
    """A row a case: image, truth and prediction in the same colours, relative error; each row has its own depth bar."""
    height, width = cases[0].pictures[1].shape[:2]
    figure = Figure(figsize=(13.2, len(cases) * (3.1 * height / width + 0.35) + 0.3), layout="constrained")
    figure.suptitle(title, x=0.004, ha="left", fontsize=11, fontweight="bold")
    axes = figure.subplots(len(cases), 4, squeeze=False)
    for row, case in zip(axes, cases, strict=True):
        error = f"{metric} {case.error:.3f}" if math.isfinite(case.error) else "prediction not finite"
        titles = (case.title, "ground truth", "prediction", f"|error| / truth, {error}")
        for axis, text, picture in zip(row, titles, case.pictures, strict=True):
            axis.imshow(picture, aspect="auto")
            axis.set_title(text, fontsize=9)
            axis.set_axis_off()
            axis.set_box_aspect(height / width)
        figure.colorbar(depth_scale(case.low, case.high), ax=row[:3], label="depth [m]", shrink=0.9, pad=0.01)
    figure.colorbar(error_scale(), ax=axes[:, 3], label="relative error", shrink=0.9 / len(cases), anchor=(0, 1))
    return figure
