"""Losses of the absolute depth error: l1, and BerHu, which is l1 near zero and quadratic beyond."""

from typing import Literal

import torch
from torch import Tensor, nn

from lightning_modules.losses.reduction import max_over_processes, sum_over_processes
from lightning_modules.losses.shapes import check_same_shape

Threshold = Literal["max_residual", "max_value"]


class L1Loss(nn.Module):
    """Mean absolute error over the valid pixels of the batches of all processes: Semantic-MD, equation 1."""

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Compute the loss, a scalar; 0 if no pixel is valid.

        Args:
            prediction: (B, 1, H, W).
            target: (B, 1, H, W), in the units of the prediction.
            valid: (B, 1, H, W) bool.

        Raises:
            ValueError: if the three shapes differ.
        """
        return mean_of_valid(residuals(prediction, target, valid), valid)


class BerHuLoss(nn.Module):
    r"""Reverse Huber loss (Laina et al. 2016, Eq. 2): Semantic-MD, equation 2.

    With :math:`r = |\hat d - d|` on the valid pixels: r where r < c, else :math:`(r^2 + c^2) / 2c`. The threshold c is
    a share of a maximum and carries no gradient of its own: with one, the largest error would gain from growing.

    Args:
        threshold: maximum that c is a share of: ``max_residual``, the largest r, as Laina et al. and the authors' code
            have it, or ``max_value``, the largest of prediction and truth, as the paper prints it.
        scope: take the maximum over the ``batch`` of all processes, or over each ``image``.
        share: c divided by the maximum.

    Raises:
        ValueError: if an option is unknown or ``share`` is not positive.
    """

    def __init__(
        self, threshold: Threshold = "max_residual", scope: Literal["batch", "image"] = "batch", share: float = 0.2
    ):
        super().__init__()
        if threshold not in ("max_residual", "max_value"):
            raise ValueError(f"`threshold` must be max_residual or max_value, got {threshold!r}")
        if scope not in ("batch", "image"):
            raise ValueError(f"`scope` must be batch or image, got {scope!r}")
        if not share > 0:
            raise ValueError(f"`share` must be positive, got {share}")
        self.threshold, self.scope, self.share = threshold, scope, share

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Compute the loss, a scalar; 0 if no pixel is valid.

        Args:
            prediction: (B, 1, H, W).
            target: (B, 1, H, W), in the units of the prediction.
            valid: (B, 1, H, W) bool.

        Raises:
            ValueError: if the three shapes differ.
        """
        residual = residuals(prediction, target, valid)
        measured = residual if self.threshold == "max_residual" else torch.maximum(prediction, target).where(valid, 0.0)
        largest = measured.detach().to(residual.dtype).amax((1, 2, 3), keepdim=True)
        if self.scope == "batch":
            largest = max_over_processes(largest.amax(0, keepdim=True))
        return mean_of_valid(berhu(residual, self.share * largest), valid)


def berhu(residual: Tensor, threshold: Tensor) -> Tensor:
    """Return the reverse Huber value of each residual.

    Args:
        residual: any shape, not negative.
        threshold: c, broadcast to it; where it is 0 or less, residuals are returned as they are.
    """
    c = threshold.where(threshold > 0, torch.inf)
    squared = (residual.square() + c.square()) / (2 * c)
    return torch.where(residual <= c, residual, squared)


def residuals(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return absolute errors in float32 at least; 0 with gradient 0 where not valid, whatever stands there.

    Raises:
        ValueError: if the three shapes differ.
    """
    check_same_shape(prediction, target, valid)
    dtype = torch.promote_types(prediction.dtype, torch.float32)
    return (prediction.to(dtype).where(valid, 0.0) - target.to(dtype).where(valid, 0.0)).abs()


def mean_of_valid(values: Tensor, valid: Tensor) -> Tensor:
    """Return the mean over the valid pixels of all processes of values that are 0 elsewhere; 0 if none is valid."""
    total, count = sum_over_processes(torch.stack([values.sum(), valid.sum().to(values.dtype)]))
    return total / count.clamp(min=1)
