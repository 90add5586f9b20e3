"""What a method makes of one test frame, ready for pictures that put several methods beside each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from callbacks.pictures.colors import Picture
from callbacks.pictures.frame_view import FrameView, to_picture, view_frame
from callbacks.records.frame_callback import FrameOutput


@dataclass(frozen=True)
class FrameResult:
    """A frame, its prediction, and the metrics of this one image.

    Attributes:
        index: number of the frame in its data set, as in ``per_image.csv``.
        title: scene and frame.
        image: (h, w, 3), at the network's input size.
        view: truth and prediction; None for a method that predicts no depth.
        intrinsics: (3, 3) camera matrix of the truth's grid.
        segments: label maps (h, w), fine to coarse; none for a method without segments.
        metrics: of the image, by name, such as ``chamfer3d_precision``; NaN where it has none.
    """

    index: int
    title: str
    image: Picture
    view: FrameView | None
    intrinsics: Tensor
    segments: tuple[NDArray[np.int64], ...]
    metrics: dict[str, float]


def frame_result(frame: FrameOutput) -> FrameResult:
    """Return the result of a frame that was tested."""
    batch, i, prediction = frame.batch, frame.i, frame.outputs["prediction"]
    return FrameResult(
        index=frame.index,
        title=f"{frame.name}, index {frame.index}",
        image=to_picture(batch["image"][i], *frame.method.normalization),
        view=None if prediction.depth is None else view_frame(frame),
        intrinsics=batch["intrinsics"][i].cpu(),
        segments=tuple(labels[i].cpu().numpy() for labels in prediction.segments),
        metrics=dict(frame.metrics),
    )
