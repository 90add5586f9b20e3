"""What a method makes of one test frame, ready for pictures that put several methods beside each other."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from callbacks.pictures.colors import Picture
from callbacks.pictures.frame_view import FrameView, to_picture, view_frame


@dataclass(frozen=True)
class FrameResult:
    """A frame, its prediction, and the figures of this one image.

    Attributes:
        index: number of the frame in its data set, as in ``per_image.csv``.
        title: scene and frame.
        image: (h, w, 3), at the network's input size.
        view: truth and prediction; None for a method that predicts no depth.
        intrinsics: (3, 3) camera matrix of the truth's grid.
        segments: label maps (h, w), fine to coarse; none for a method without segments.
        figures: of the image, by name, such as ``chamfer3d_precision``; NaN where it has none.
    """

    index: int
    title: str
    image: Picture
    view: FrameView | None
    intrinsics: Tensor
    segments: tuple[NDArray[np.int64], ...]
    figures: dict[str, float]


def frame_result(outputs: Any, batch: Any, i: int, pl_module: Any) -> FrameResult:
    """The result of frame ``i`` of a test batch.

    Args:
        outputs: of the method's ``test_step``.
        batch: the batch.
        i: position in the batch.
        pl_module: the method.
    """
    prediction, index = outputs["prediction"], int(batch["index"][i])
    return FrameResult(
        index=index,
        title=f"{batch['scene'][i]}, frame {int(batch['frame'][i])}, index {index}",
        image=to_picture(batch["image"][i], *pl_module.normalization),
        view=None
        if prediction.depth is None
        else view_frame(
            prediction, batch, i, pl_module, protocol=outputs.get("protocol"), oracle=outputs.get("oracle", "")
        ),
        intrinsics=batch["intrinsics"][i].cpu(),
        segments=tuple(labels[i].cpu().numpy() for labels in prediction.segments),
        figures={name: float(values[i]) for name, values in outputs["per_image"].items()},
    )
