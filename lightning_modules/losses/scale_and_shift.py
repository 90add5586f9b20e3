"""The loss of relative depth: blind to a scale and a shift a frame."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from lightning_modules.losses.gradient_matching import gradient_matching
from lightning_modules.losses.reduction import sum_over_processes
from lightning_modules.losses.shapes import check_same_shape


class ScaleAndShiftInvariantLoss(nn.Module):
    r"""Scale- and shift-invariant loss of MiDaS: trimmed absolute error and gradient matching, of disparity.

    Ranftl, Lasinger, Hafner, Schindler, Koltun, "Towards Robust Monocular Depth Estimation", TPAMI 2022, equations 5
    to 12. Prediction and truth of each image, d, are brought to median 0 and mean absolute deviation 1 over its M valid
    pixels,

    .. math:: t(d) = \mathrm{median}(d), \quad s(d) = \frac{1}{M} \sum |d - t(d)|, \quad \hat d = \frac{d - t(d)}{s(d)}.

    The loss of an image is :math:`\frac{1}{2M} \sum |\hat d_i - \hat d_i^*|` over the smallest 80 % of residuals, plus
    ``alpha`` times :func:`~lightning_modules.losses.gradient_matching.gradient_matching` of the residuals at four
    scales; that of a batch is the mean over the images of all processes that have a valid pixel.

    Args:
        alpha: weight of gradient matching.
        trim: share of the residuals that are left out, the largest.
        of: ``disparity``, 1 / depth, as in the paper, or ``depth`` itself, for truth that is depth up to scale and
            shift.
        eps: floor of the prediction under the inverse, and of the deviation that is divided by.

    Raises:
        ValueError: if ``alpha`` is negative, ``trim`` outside [0, 1), or ``of`` unknown.
    """

    #: What a prediction and the truth may differ by, for which the loss is the same.
    invariant_to = "scale_and_shift"

    def __init__(
        self, alpha: float = 0.5, trim: float = 0.2, of: Literal["disparity", "depth"] = "disparity", eps: float = 1e-6
    ):
        super().__init__()
        if alpha < 0:
            raise ValueError(f"`alpha` must not be negative, got {alpha}")
        if not 0 <= trim < 1:
            raise ValueError(f"`trim` must be in [0, 1), got {trim}")
        if of not in ("disparity", "depth"):
            raise ValueError(f"`of` must be disparity or depth, got {of!r}")
        self.alpha, self.trim, self.of, self.eps = alpha, trim, of, eps

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Compute the loss in float32 at least, under autocast too.

        Args:
            prediction: (B, 1, H, W) depth, in any unit.
            target: (B, 1, H, W) true depth, in any unit, positive where valid.
            valid: (B, 1, H, W) bool.

        Returns:
            Scalar; 0 with zero gradients if no pixel is valid.

        Raises:
            ValueError: if the three shapes differ.
        """
        check_same_shape(prediction, target, valid)
        dtype = torch.promote_types(prediction.dtype, torch.float32)
        # masked before the inverse: an invalid pixel has residual 0 and gradient 0, whatever it holds
        maps = [map_.to(dtype).where(valid, 1.0) for map_ in (prediction, target)]
        if self.of == "disparity":
            maps = [1 / map_.clamp_min(self.eps) for map_ in maps]
        predicted, true = (self._normalised(map_, valid) for map_ in maps)
        residual = (predicted - true).where(valid, 0.0)
        loss = self._trimmed(residual.abs(), valid)
        if self.alpha:
            loss = loss + self.alpha * gradient_matching(residual, valid, _sum_of_each)[:, 0, 0, 0]
        seen = valid.flatten(1).any(1)
        total, images = sum_over_processes(torch.stack([loss.where(seen, 0.0).sum(), seen.sum().to(dtype)]))
        return total / images.clamp(min=1)

    def _normalised(self, maps: Tensor, valid: Tensor) -> Tensor:
        """Return maps (B, 1, H, W) at median 0 and mean absolute deviation 1 over each image's valid pixels."""
        pixels = maps.where(valid, torch.nan).flatten(1)
        median = pixels.nanquantile(0.5, dim=1).nan_to_num().view(-1, 1, 1, 1)
        centred = (maps - median).where(valid, 0.0)
        deviation = _sum_of_each(centred.abs()) / _sum_of_each(valid.to(maps.dtype)).clamp(min=1)
        return centred / deviation.clamp_min(self.eps)

    def _trimmed(self, residual: Tensor, valid: Tensor) -> Tensor:
        """Return, (B,), half the mean over valid pixels, the largest residuals left out of the sum."""
        count = valid.flatten(1).sum(1, keepdim=True)
        kept = (count * (1 - self.trim)).floor()
        ordered, _ = residual.where(valid, math.inf).flatten(1).sort(dim=1)
        rank = torch.arange(ordered.shape[1], device=ordered.device)
        return ordered.where(rank < kept, 0.0).sum(1) / (2 * count[:, 0].clamp(min=1))


def _sum_of_each(maps: Tensor) -> Tensor:
    """Return the sum (B, 1, 1, 1) over each image."""
    return maps.sum((1, 2, 3), keepdim=True)
