"""The test frames that a method gets most wrong, on one sheet."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure

from callbacks.lightning_internals import datamodule_of
from callbacks.pictures.colors import Picture
from callbacks.pictures.frame_view import depth_scale, error_scale, view_frame
from callbacks.pictures.lettering import put_heading, put_title
from callbacks.pictures.picture_files import write_sheets
from callbacks.records.all_processes import gather_objects
from callbacks.records.frame_callback import FrameCallback, FrameOutput
from callbacks.records.optional_files import OptionalFiles

#: Width in pixels that pictures are reduced to: they wait in memory, and travel between processes.
MAX_WIDTH = 400


@dataclass(frozen=True)
class Case:
    """A frame of the sheet.

    Attributes:
        error: the metric by which frames are ranked; infinite where the prediction is not finite.
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
        """Return the key that sorts cases, the worst first."""
        return -self.error, self.index

    def plain(self) -> dict[str, Any]:
        """Return the attributes as tensors and plain values, for :meth:`of_plain`."""
        return {**vars(self), "pictures": [torch.from_numpy(picture) for picture in self.pictures]}

    @classmethod
    def of_plain(cls, values: Mapping[str, Any]) -> "Case":
        """Make a case of :meth:`plain` values again."""
        return cls(**{**values, "pictures": tuple(picture.numpy() for picture in values["pictures"])})


class WorstCases(FrameCallback):
    """Write ``worst_<data set>.png`` into the run folder: the test frames with the largest error, worst first.

    A frame whose prediction is not finite is worse than any other; one without an evaluated pixel has no error and is
    never shown, nor is any of a method that predicts no depth. The frames are the same for every number of processes.

    Args:
        frames: how many of each test set.
        metric: metric of single images, of which larger is worse.

    Raises:
        ValueError: if ``frames`` is not positive.
    """

    def __init__(self, frames: int = 6, metric: str = "abs_rel"):
        if frames < 1:
            raise ValueError(f"WorstCases: `frames` must be positive, got {frames}; leave the callback out for none")
        self.frames, self.metric = frames, metric
        self.files = OptionalFiles("sheets of the worst frames")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier test."""
        self.cases: dict[str, list[Case]] = {data.name: [] for data in datamodule_of(trainer).test_sets()}

    def test_state(self) -> dict[str, Any]:
        """Return the worst frames so far, see :class:`~callbacks.checkpoints.test_progress.HasTestState`."""
        return {name: [case.plain() for case in cases] for name, cases in self.cases.items()}

    def load_test_state(self, state: Mapping[str, Any]) -> None:
        """Take up the worst frames of a test that was stopped."""
        self.cases = {name: [Case.of_plain(case) for case in cases] for name, cases in state.items()}

    def on_frame(self, trainer: Trainer, frame: FrameOutput) -> None:
        """Keep a frame that is among the worst so far.

        Raises:
            ValueError: if single images have no such metric.
        """
        if frame.outputs["prediction"].depth is None:
            return
        if self.metric not in frame.metrics:
            known = ", ".join(frame.metrics)
            raise ValueError(f"WorstCases: `metric`: images have no metric `{self.metric}`; they have {known}")
        error, cases = frame.metrics[self.metric], self.cases[frame.data.name]
        if len(cases) == self.frames and (-error, frame.index) > cases[-1].rank:
            return
        if (case := make_case(error, frame)) is not None:
            self.cases[frame.data.name] = sorted([*cases, case], key=lambda case: case.rank)[: self.frames]

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Gather the cases of all processes, and draw them on the first."""
        gathered = gather_objects(self.cases)
        if not trainer.is_global_zero:
            return
        oracle = getattr(pl_module, "oracle", "")
        sheets = {}
        for name in self.cases:
            worst = sorted((case for part in gathered for case in part[name]), key=lambda case: case.rank)
            worst = worst[: self.frames]
            title = f"{name}: the {len(worst)} test frames with the largest {self.metric}"
            if worst:
                sheets[name] = draw_sheet(worst, f"{title} (oracle {oracle})" if oracle else title, self.metric)
        write_sheets(trainer, self.files, "worst", sheets)


def make_case(error: float, frame: FrameOutput) -> Case | None:
    """Return the case of a frame; None where there is nothing that could be wrong.

    Args:
        error: of the frame; NaN if nothing is evaluated, or if the prediction is not finite.
        frame: the frame.
    """
    view = view_frame(frame)
    if math.isnan(error):
        if view.predicted is None or np.isfinite(view.predicted[view.evaluated]).all():
            return None
        error = math.inf
    pictures = tuple(_reduced(picture) for picture in (view.image, *view.pictures()))
    return Case(error, frame.index, f"{frame.name}, index {frame.index}", pictures, view.low, view.high)


def _reduced(picture: Picture) -> Picture:
    """Return a picture (h, w, 3) with a width of at most :data:`MAX_WIDTH`."""
    height, width = picture.shape[:2]
    if width <= MAX_WIDTH:
        return picture
    return cast(
        Picture, cv2.resize(picture, (MAX_WIDTH, round(height * MAX_WIDTH / width)), interpolation=cv2.INTER_AREA)
    )


def draw_sheet(cases: list[Case], title: str, metric: str) -> Figure:
    """Draw a row a case: image, truth and prediction in the same colours, relative error.

    Args:
        cases: the frames; each row has its own colour bar of depth.
        title: of the sheet.
        metric: name of the metric by which frames are ranked.
    """
    height, width = cases[0].pictures[1].shape[:2]
    figure = Figure(figsize=(13.2, len(cases) * (3.1 * height / width + 0.35) + 0.3), layout="constrained")
    put_heading(figure, title, x=0.004, ha="left", fontsize=11, fontweight="bold")
    axes = figure.subplots(len(cases), 4, squeeze=False)
    for row, case in zip(axes, cases, strict=True):
        error = f"{metric} {case.error:.3f}" if math.isfinite(case.error) else "prediction not finite"
        titles = (case.title, "ground truth", "prediction", f"|error| / truth, {error}")
        for axis, text, picture in zip(row, titles, case.pictures, strict=True):
            axis.imshow(picture, aspect="auto")
            put_title(axis, text, fontsize=9)
            axis.set_axis_off()
            axis.set_box_aspect(height / width)
        figure.colorbar(depth_scale(case.low, case.high), ax=row[:3], label="depth [m]", shrink=0.9, pad=0.01)
    figure.colorbar(error_scale(), ax=axes[:, 3], label="relative error", shrink=0.9 / len(cases), anchor=(0, 1))
    return figure
