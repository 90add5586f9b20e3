"""One test frame as pictures show it: image, truth and prediction on the truth's grid, and their relative error."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

import cv2
import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from callbacks.pictures.colors import Picture, depth_picture, error_picture
from lightning_modules.metrics import BoundaryProtocol, EvalProtocol

#: Relative error that saturates the error picture.
MAX_RELATIVE_ERROR = 0.5


@dataclass(frozen=True)
class FrameView:
    """A frame under the evaluation protocol.

    Attributes:
        image: (h, w, 3), at the network's input size.
        truth: (H, W) metres.
        predicted: (H, W) metres, resized, aligned and clamped; None where the method predicts no depth.
        evaluated: (H, W) bool, the pixels that figures are of.
        low: metres, where the colours of depth begin: nearly all of the truth lies between the two.
        high: metres, where they end.
        radial: depth is the distance to the camera instead of z.
        oracle: what of the truth the method was given, see :class:`~lightning_modules.depth_module.DepthModule`.
        annotated: (H, W) bool, annotated boundaries; None where the data have none.
        window: (H, W) bool, where edges are compared with annotated ones, which need no true depth; None is everywhere.
        boundary: how edges are found.
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
        """(H, W), where edges are sought: true depth has none of its own where it is not evaluated."""
        if self.annotated is None:
            return self.evaluated
        return np.ones_like(self.evaluated) if self.window is None else self.window

    @property
    def prediction_title(self) -> str:
        """What pictures call the prediction; that of an oracle is said to be one."""
        return f"prediction (oracle {self.oracle})" if self.oracle else "prediction"

    @property
    def relative_error(self) -> NDArray[np.float64]:
        """(H, W), 0 where it is not evaluated, and where no depth is predicted."""
        if self.predicted is None:
            return np.zeros_like(self.truth)
        error = np.abs(self.predicted - self.truth) / np.where(self.evaluated, self.truth, 1)
        return np.where(self.evaluated, error, 0)

    @property
    def abs_rel(self) -> float:
        """Mean relative error; NaN where nothing is evaluated, or predicted."""
        if self.predicted is None or not self.evaluated.any():
            return float("nan")
        return float(self.relative_error[self.evaluated].mean())

    @property
    def native_image(self) -> Picture:
        """The image at the size of the truth, (H, W, 3)."""
        return cast(Picture, cv2.resize(self.image, self.truth.shape[::-1], interpolation=cv2.INTER_AREA))

    def pictures(self) -> tuple[Picture, Picture, Picture]:
        """Truth, prediction, relative error; where nothing finite is predicted, black and the largest error.

        Of a method without depth, prediction and error are black.
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


def view_frame(
    prediction: Any,
    batch: Any,
    i: int,
    pl_module: Any,
    width: int | None = None,
    *,
    protocol: EvalProtocol | None = None,
    oracle: str = "",
) -> FrameView:
    """Frame ``i`` of a batch, given the method's prediction for the batch.

    Args:
        prediction: the method's, for the batch.
        batch: the batch.
        i: position in the batch.
        pl_module: the method.
        width: of all pictures, reduced to it before they are coloured; None leaves every picture its own size.
        protocol: of the batch's test set; None takes that of the method's own data.
        oracle: what of the truth the method was given.
    """
    protocol = protocol or pl_module.protocol
    one = slice(i, i + 1)
    # without a prediction the truth stands in for it, for range and crop, and is dropped below
    depth = batch["depth"] if prediction.depth is None else prediction.depth
    prepared = protocol.prepare(depth[one], batch["depth"][one], batch["valid"][one])
    predicted, truth, evaluated = (map_[0, 0].cpu().numpy() for map_ in prepared)
    image = batch["image"][i]
    boundary = getattr(getattr(pl_module, "evaluation", None), "boundary", None) or BoundaryProtocol()
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
    picture = to_picture(image, *pl_module.normalization)
    shown = None if prediction.depth is None else predicted
    scale = float(low), float(high)
    return FrameView(picture, truth, shown, evaluated, *scale, protocol.radial, oracle, annotated, window, boundary)


def to_picture(image: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Picture:
    """Undo the normalisation of an image (3, H, W): (H, W, 3) uint8."""
    shape = (3, 1, 1)
    pixels = image.float().cpu() * torch.tensor(std).view(shape) + torch.tensor(mean).view(shape)
    return (pixels.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def depth_scale(low: float, high: float) -> ScalarMappable:
    """What a colour bar of depth shows."""
    return ScalarMappable(Normalize(low, high), "Spectral")


def error_scale() -> ScalarMappable:
    """What a colour bar of relative error shows."""
    return ScalarMappable(Normalize(0, MAX_RELATIVE_ERROR), "magma")
