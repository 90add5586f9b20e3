"""The evaluation protocol: what is done to prediction and truth before any error is measured."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.metrics.alignment import Alignment, align
from lightning_modules.metrics.precision import accumulation_dtype

CROPPED_SIZE = (480, 640)
CROPS = {
    "eigen": (slice(45, 471), slice(41, 601)),
    "densedepth": (slice(20, 460), slice(24, 616)),
    "p2orm": (slice(21, 461), slice(25, 617)),
}


class Prepared(NamedTuple):
    """A batch in the state in which errors are measured.

    Attributes:
        prediction: (B, 1, H, W) depth on the truth's grid, aligned and clamped, NaN where it is not finite.
        target: (B, 1, H, W) true depth in the same unit.
        valid: (B, 1, H, W) bool, the evaluated pixels.
    """

    prediction: Tensor
    target: Tensor
    valid: Tensor


@dataclass(frozen=True)
class EvalProtocol:
    """How one paper evaluates depth; the named presets are YAML files in ``experiments/protocol``.

    Attributes:
        name: the preset's name, logged with every run.
        min_depth: metres; truth must be above it, and it is the lower clamp of the prediction.
        max_depth: metres; truth must be below it, and it is the upper clamp of the prediction. NYUv2's sensor
            saturates at exactly 10 m, so that an open interval (BTS) and a closed one differ.
        crop: window of the 480 x 640 frame that is evaluated.
        alignment: per-image fit of the prediction to the truth, before the clamp; ``inverse_least_squares`` resizes
            and fits inverse depth.
        averaging: ``per_image`` metrics averaged over images; ``pooled`` sums over all pixels, root last; ``batches``:
            pooled over each ``images_per_batch`` images in the data set's order, averaged over these batches.
        images_per_batch: of ``batches``, however many are evaluated at a time.
        relative_to: what ``abs_rel`` and ``sq_rel`` divide by, ``truth``, or ``prediction`` as Semantic-MD prints it.
        delta_over: the deltas are shares of the ``valid`` pixels, or of ``all`` in the window, those without truth
            being missed, as Semantic-MD's code counts them.
        align_corners: of the bilinear resize of the prediction to the truth's size (Depth Anything v2: true).
        clamp: clamp the prediction to [min_depth, max_depth], or, ``below``, to min_depth only (Semantic-MD).
        clip_truth: truth beyond ``max_depth`` counts as ``max_depth`` instead of as invalid (Semantic-MD).
        unit: metres per unit of the returned maps (10 for depths normalised to [0, 1] over 10 m).
        radial: depth is the distance to the camera instead of z. Point clouds go by it; data sets set it themselves.

    Raises:
        ValueError: unless 0 < min_depth < max_depth, unit > 0 and images_per_batch > 0.
    """

    name: str
    min_depth: float
    max_depth: float
    crop: Literal["none", "eigen", "densedepth", "p2orm"] = "none"
    alignment: Alignment = "none"
    averaging: Literal["per_image", "pooled", "batches"] = "per_image"
    images_per_batch: int = 32
    relative_to: Literal["truth", "prediction"] = "truth"
    delta_over: Literal["valid", "all"] = "valid"
    align_corners: bool = False
    clamp: bool | Literal["below"] = True
    clip_truth: bool = False
    unit: float = 1.0
    radial: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.min_depth < self.max_depth:
            raise ValueError(
                f"protocol `{self.name}`: need 0 < min_depth < max_depth (logarithms are taken), "
                f"got min_depth={self.min_depth} and max_depth={self.max_depth}"
            )
        if not self.unit > 0:
            raise ValueError(f"protocol `{self.name}`: `unit` is metres per unit and must be > 0, got {self.unit}")

        if self.images_per_batch < 1:
            raise ValueError(f"protocol `{self.name}`: `images_per_batch` must be > 0, got {self.images_per_batch}")

    def prepare(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Prepared:
        """Bring a batch into the state in which errors are measured.

        The prediction is resized to the truth's size (never the truth), range and crop are applied to ``valid``, the
        prediction is aligned on the valid pixels of its own image, then clamped. Non-finite predictions come out as
        NaN: the clamp must not launder an infinity into ``max_depth``.

        Args:
            prediction: (B, 1, h, w) depth in metres, any floating dtype.
            target: (B, 1, H, W) true depth in metres.
            valid: (B, 1, H, W) bool, true where the truth is measured.

        Returns:
            Prediction (B, 1, H, W) and target (B, 1, H, W) in units of ``unit`` metres, float64 (float32 on ``mps``),
            and the evaluated pixels (B, 1, H, W) bool.

        Raises:
            ValueError: if the shapes do not fit together, or a crop is asked for on another size than 480 x 640.
        """
        self._check_shapes(prediction, target, valid)
        dtype = accumulation_dtype(prediction.device)
        prediction, target = prediction.to(dtype, copy=True), target.to(dtype)  # a copy, to be changed in place
        size = target.shape[-2:]
        if self.alignment == "inverse_least_squares":
            prediction = 1 / prediction  # before the resize: disparity may be 0, and an infinite depth would spread
        prediction = self._resized(prediction, size)
        if self.clip_truth:
            target = target.clamp(max=self.max_depth)
        valid = self.evaluated(target, valid)

        prediction = align(prediction, target, valid, self.alignment)
        prediction = prediction.nan_to_num_(torch.nan, torch.nan, torch.nan)
        if self.clamp:
            prediction = prediction.clamp_(self.min_depth, None if self.clamp == "below" else self.max_depth)
        if self.unit != 1:
            prediction, target = prediction / self.unit, target / self.unit
        return Prepared(prediction, target, valid)

    def constant(self, prepared: Prepared, depth: float) -> Prepared:
        """Return a prepared batch with the same depth everywhere for the prediction, as :meth:`prepare` would.

        Args:
            prepared: a batch that this protocol has prepared.
            depth: metres.

        Raises:
            ValueError: if the protocol aligns predictions.
        """
        if self.alignment != "none":
            raise ValueError(f"protocol `{self.name}` aligns predictions (`{self.alignment}`): prepare the constant")
        if self.clamp:
            depth = max(depth, self.min_depth)
            depth = depth if self.clamp == "below" else min(depth, self.max_depth)
        prediction = prepared.target.new_full((1,) * prepared.target.ndim, depth / self.unit)
        return prepared._replace(prediction=prediction.expand_as(prepared.target))

    def at_size(self, prediction: Tensor, size: tuple[int, int]) -> Tensor:
        """Return a prediction (B, 1, h, w) at another size (H, W), as :meth:`prepare` brings it to the truth's."""
        if self.alignment == "inverse_least_squares":
            return 1 / self._resized(1 / prediction, size)
        return self._resized(prediction, size)

    def _resized(self, prediction: Tensor, size: tuple[int, ...]) -> Tensor:
        if prediction.shape[-2:] == size:
            return prediction  # each pixel would be interpolated from itself
        return F.interpolate(prediction, size, mode="bilinear", align_corners=self.align_corners)

    def evaluated(self, target: Tensor, valid: Tensor) -> Tensor:
        """Return pixels (B, 1, H, W) bool that errors are measured on: measured, inside range and crop.

        Args:
            target: (B, 1, H, W) true depth in metres.
            valid: (B, 1, H, W) bool, true where the truth is measured.

        Raises:
            ValueError: as :meth:`window`.
        """
        evaluated = (valid & (target > self.min_depth)).logical_and_(self.window(target))
        return evaluated if self.clip_truth else evaluated.logical_and_(target < self.max_depth)

    def window(self, target: Tensor) -> Tensor:
        """Return (H, W) bool, true inside the crop, of a truth (..., H, W).

        Raises:
            ValueError: if the crop is defined on another size.
        """
        height, width = target.shape[-2:]
        if self.crop == "none":
            return torch.ones(height, width, dtype=torch.bool, device=target.device)
        self.check_size(height, width)
        window = torch.zeros(height, width, dtype=torch.bool, device=target.device)
        window[CROPS[self.crop]] = True
        return window

    def check_size(self, height: int, width: int) -> None:
        """Check that the crop is defined on a truth of this size; raises as :meth:`window` does."""
        if self.crop != "none" and (height, width) != CROPPED_SIZE:
            raise ValueError(
                f"protocol `{self.name}`: crop `{self.crop}` is defined on 480x640 frames, the truth is "
                f"{height}x{width}; evaluate at the native size, or set `protocol.crop: none`"
            )

    def _check_shapes(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        depth_maps = prediction.ndim == target.ndim == 4 and prediction.shape[:2] == target.shape[:2]
        if not depth_maps or target.shape[1] != 1 or valid.shape != target.shape:
            raise ValueError(
                "prediction must be (B, 1, h, w), target and valid (B, 1, H, W), got "
                f"{tuple(prediction.shape)}, {tuple(target.shape)} and {tuple(valid.shape)}"
            )
