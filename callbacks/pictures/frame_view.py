"""One test frame as pictures show it: image, truth and prediction on the truth's grid, and their relative error."""

from dataclasses import dataclass, field, replace
from typing import cast

import cv2
import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from callbacks.pictures.colors import Picture, depth_picture, error_picture
from callbacks.records.frame_callback import FrameOutput
from lightning_modules.metrics import BoundaryProtocol

#: Relative error that saturates the error picture.
MAX_RELATIVE_ERROR = 0.5


@dataclass(frozen=True)
class FrameView:
    """A frame as the evaluation protocol compares prediction and truth.

    Attributes:
        image: (h, w, 3), at the network's input size.
        truth: (H, W) metres.
        predicted: (H, W) metres, resized, aligned and clamped; None where the method predicts no depth.
        evaluated: (H, W) bool, the pixels that metrics are of.
        low: metres, first percentile of the true depth: where the colours of depth begin.
        high: metres, its 99th percentile: where they end.
        radial: depth is the distance to the camera instead of z.
        oracle: what of the truth the method was given, see :class:`~lightning_modules.depth_module.DepthModule`.
        annotated: (H, W) bool, annotated boundaries; None where the data have none.
        window: (H, W) bool, where edges are compared with annotated ones, which need no true depth; None is everywhere.
        boundary: how depth edges are found and compared.
    """

    image: Picture
    truth: NDArray[np.float64]
    predicted: NDArray[np.float64] | None
    evaluated: NDArray[np.bool_]
    low: float
    high: float
    radial: bool = False
    oracle: str = ""
    annotated: NDArray[np.bool_] | None = None
    window: NDArray[np.bool_] | None = None
    boundary: BoundaryProtocol = field(default_factory=BoundaryProtocol)

    @property
    def sought(self) -> NDArray[np.bool_]:
        """Return (H, W) bool, where edges are looked for: true depth has none of its own where it is not evaluated."""
        if self.annotated is None:
            return self.evaluated
        return np.ones_like(self.evaluated) if self.window is None else self.window

    @property
    def prediction_title(self) -> str:
        """Return what pictures call the prediction, which says so where the method was given the truth."""
        return f"prediction (oracle {self.oracle})" if self.oracle else "prediction"

    @property
    def relative_error(self) -> NDArray[np.float64]:
        """Return (H, W) |error| / truth, 0 where it is not evaluated, and where no depth is predicted."""
        if self.predicted is None:
            return np.zeros_like(self.truth)
        error = np.abs(self.predicted - self.truth) / np.where(self.evaluated, self.truth, 1)
        return np.where(self.evaluated, error, 0)

    @property
    def abs_rel(self) -> float:
        """Return the mean relative error; NaN where nothing is evaluated, or predicted."""
        if self.predicted is None or not self.evaluated.any():
            return float("nan")
        return float(self.relative_error[self.evaluated].mean())

    @property
    def native_image(self) -> Picture:
        """Return the image at the size of the truth, (H, W, 3)."""
        return cast(Picture, cv2.resize(self.image, self.truth.shape[::-1], interpolation=cv2.INTER_AREA))

    def pictures(self) -> tuple[Picture, Picture, Picture]:
        """Return truth, prediction and relative error in colours, each (H, W, 3).

        Where the prediction is not finite, it is black and the error is the largest; of a method without depth, both
        are black everywhere.
        """
        truth = depth_picture(self.truth, self.low, self.high, self.evaluated)
        if self.predicted is None:
            return truth, np.zeros_like(truth), np.zeros_like(truth)
        error = np.nan_to_num(self.relative_error, nan=np.inf)
        return (
            truth,
            depth_picture(self.predicted, self.low, self.high),
            error_picture(error, MAX_RELATIVE_ERROR, self.evaluated),
        )


def view_frame(frame: FrameOutput, width: int | None = None) -> FrameView:
    """Return a frame as pictures show it, from what the step of validation or test has prepared.

    Args:
        frame: the frame.
        width: pixels that all maps and the image are reduced to before they are coloured; None leaves all as they are.
    """
    i, batch, protocol = frame.i, frame.batch, frame.outputs["protocol"]
    predicted, truth, evaluated = (map_.cpu().numpy() for map_ in _maps_of(frame))
    image = batch["image"][i]
    boundary = frame.method.evaluation.boundary
    window = replace(protocol, crop=boundary.crop or protocol.crop).window(batch["depth"]).cpu().numpy()
    annotated = batch["occlusion"][i, 0].cpu().numpy() if "occlusion" in batch else None
    if width is not None:
        size = (width, max(1, round(truth.shape[0] * width / truth.shape[1])))
        image = F.interpolate(image[None], size[::-1], mode="area")[0]
        # depth is never averaged over an edge, nor a hole into a depth
        maps = (predicted, truth, evaluated.astype(np.uint8), window.astype(np.uint8))
        predicted, truth, evaluated, window = (cv2.resize(map_, size, interpolation=cv2.INTER_NEAREST) for map_ in maps)
        evaluated, window = evaluated.astype(bool), window.astype(bool)
        if annotated is not None:  # a thin line stays
            annotated = cv2.resize(annotated.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    predicted, truth = predicted * protocol.unit, truth * protocol.unit
    seen = truth[evaluated]
    low, high = np.percentile(seen, (1, 99)) if seen.size else (protocol.min_depth, protocol.max_depth)
    return FrameView(
        image=to_picture(image, *frame.method.normalization),
        truth=truth,
        predicted=None if frame.outputs["prepared"] is None else predicted,
        evaluated=evaluated,
        low=float(low),
        high=float(high),
        radial=protocol.radial,
        oracle=frame.outputs["oracle"],
        annotated=annotated,
        window=window,
        boundary=boundary,
    )


def _maps_of(frame: FrameOutput) -> tuple[Tensor, Tensor, Tensor]:
    """Return prediction, truth and evaluated pixels of a frame, each (H, W), in the protocol's unit."""
    prepared, i = frame.outputs["prepared"], frame.i
    if prepared is None:  # no depth is predicted: the truth stands in for it, for range and crop
        truth, i = frame.batch["depth"][i : i + 1], 0
        prepared = frame.outputs["protocol"].prepare(truth, truth, frame.batch["valid"][frame.i : frame.i + 1])
    return prepared.prediction[i, 0], prepared.target[i, 0], prepared.valid[i, 0]


def to_picture(image: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Picture:
    """Return a normalised image (3, H, W) as a picture (H, W, 3).

    Args:
        image: the network's input.
        mean: of RGB in [0, 1], that was subtracted.
        std: of RGB in [0, 1], that was divided by.
    """
    shape = (3, 1, 1)
    pixels = image.float().cpu() * torch.tensor(std).view(shape) + torch.tensor(mean).view(shape)
    return (pixels.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def depth_scale(low: float, high: float) -> ScalarMappable:
    """Return the scale of a colour bar of depth, from ``low`` to ``high`` metres."""
    return ScalarMappable(Normalize(low, high), "Spectral")


def error_scale() -> ScalarMappable:
    """Return the scale of a colour bar of relative error."""
    return ScalarMappable(Normalize(0, MAX_RELATIVE_ERROR), "magma")
