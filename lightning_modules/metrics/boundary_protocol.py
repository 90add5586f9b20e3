"""How the edges of a depth map are found and compared with annotated ones."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.metrics.protocol import CROPPED_SIZE, CROPS


@dataclass(frozen=True)
class BoundaryProtocol:
    """How depth edges are found and scored; the defaults are those of iBims-1 (Koch et al. 2018).

    Attributes:
        sigma: pixels, Gaussian smoothing before the gradient.
        low: lower hysteresis threshold on the gradient of the depth normalised to [0, 1], an unnormalised 3 x 3 Sobel:
            a slope of s per pixel has magnitude 8 s.
        high: upper hysteresis threshold.
        max_distance: pixels; predicted edges this far from the truth leave the accuracy, and completeness is
            truncated here.
        completeness: ``official``, as the iBims-1 code computes it, or ``directed``, as the paper prints it.
        tolerance: pixels within which an edge counts as found, for precision, recall and F1.
        crop: window of the 480 x 640 frame, cut out before the edges are sought; None is the whole frame here, and the
            evaluation protocol's window in an :class:`~lightning_modules.evaluation.Evaluation`.
        backend: ``skimage``, the reference's Canny on floats, or ``cv2``, faster on 8 bits, with other edges.

    Raises:
        ValueError: unless 0 <= low <= high, sigma > 0, max_distance > 0 and tolerance >= 0, or for an unknown name.
    """

    sigma: float = math.sqrt(2)
    low: float = 0.15
    high: float = 0.30
    max_distance: float = 10.0
    completeness: Literal["official", "directed"] = "official"
    tolerance: float = 1.0
    crop: Literal["none", "eigen", "densedepth", "p2orm"] | None = None
    backend: Literal["skimage", "cv2"] = "skimage"

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise ValueError(f"boundary protocol: need 0 <= low <= high, got low={self.low} and high={self.high}")
        if not (self.sigma > 0 and self.max_distance > 0 and self.tolerance >= 0):
            raise ValueError(
                "boundary protocol: need sigma > 0, max_distance > 0 and tolerance >= 0, got "
                f"sigma={self.sigma}, max_distance={self.max_distance} and tolerance={self.tolerance}"
            )
        choices: dict[str, tuple[str | None, ...]] = {
            "completeness": ("official", "directed"),
            "crop": (None, "none", *CROPS),
            "backend": ("skimage", "cv2"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"boundary protocol: `{name}` is one of {known}, got `{getattr(self, name)}`")

    def prepare(self, prediction: Tensor, target: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Bring a batch to the truth's size and cut the crop out.

        Args:
            prediction: (B, 1, h, w) depth in any unit, any floating dtype.
            target: (B, 1, H, W) bool, true on an annotated boundary.
            valid: (B, 1, H, W) bool, the evaluated pixels; all if None.

        Returns:
            Prediction float64, boundaries on evaluated pixels bool, and evaluated pixels bool, each (B, 1, H', W') on
            the CPU, where edges are sought.

        Raises:
            ValueError: if the shapes do not fit together, the boundaries are not bool, or a crop is asked for on
                another size than 480 x 640.
        """
        valid = torch.ones_like(target, dtype=torch.bool) if valid is None else valid
        self._check(prediction, target, valid)
        prediction = prediction.cpu().double()
        if prediction.shape != target.shape:
            prediction = F.interpolate(prediction, target.shape[-2:], mode="bilinear", align_corners=False)
        rows, columns = CROPS.get(self.crop or "none", (slice(None), slice(None)))
        target, valid = target.cpu(), valid.cpu()
        prediction, target, valid = (part[..., rows, columns] for part in (prediction, target & valid, valid))
        return prediction, target, valid

    def _check(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        maps = prediction.ndim == target.ndim == 4 and prediction.shape[:2] == target.shape[:2]
        if not maps or target.shape[1] != 1 or valid.shape != target.shape:
            raise ValueError(
                "prediction must be (B, 1, h, w), boundaries and valid (B, 1, H, W), got "
                f"{tuple(prediction.shape)}, {tuple(target.shape)} and {tuple(valid.shape)}"
            )
        if target.dtype != torch.bool:
            raise ValueError(f"boundaries must be bool, got {target.dtype}; binarise an 8-bit annotation with `> 127`")
        if self.crop in CROPS and tuple(target.shape[-2:]) != CROPPED_SIZE:
            raise ValueError(
                f"crop `{self.crop}` is defined on 480x640 frames, the boundaries are "
                f"{target.shape[-2]}x{target.shape[-1]}; evaluate at the native size, or set `crop: none`"
            )
