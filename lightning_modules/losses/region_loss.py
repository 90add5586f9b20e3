"""Losses of the Region Support Network: by regions, by pixels, and over iterations."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from lightning_modules.losses.reduction import sum_over_processes
from lightning_modules.metrics.label_maps import table_places

Space = Literal["linear", "log"]
RegionForm = Literal["l1", "l2", "abs_mean"]
UnlabeledRule = Literal["ignore", "one_region"]


class RegionLoss(nn.Module):
    r"""Mean over regions of each region's mean error, :math:`L_r` (Region Support Network, section 3.1, equation 2).

    .. math:: L_r = \frac{1}{M} \sum_{m=1}^{M} \frac{1}{N_m} \sum_{n=1}^{N_m} \left| y_n^m - y_n^{*m} \right|

    Equation 2 is printed without the absolute value, which is no loss: it is least at minus infinity. A region of one
    pixel weighs as much as a wall. With ``space: log`` y is the natural logarithm of depth. The mean over regions is
    taken in each image, then averaged over the images of all processes that have a region.

    Ids of regions may be any integers: only equality counts.

    Args:
        form: ``l1`` mean absolute error in a region, ``l2`` mean squared error, ``abs_mean`` absolute value of the mean
            error (what equation 2 becomes if the absolute value is put around its inner sum).
        space: ``linear`` metres or ``log``, natural.
        unlabeled: pixels of no region, id 0, are left out (``ignore``), or are ``one_region`` of their own per image.
        eps: metres, floor of the prediction under the logarithm; below it the gradient is 0.

    Raises:
        ValueError: for an unknown name.
    """

    def __init__(
        self,
        form: RegionForm = "l1",
        space: Space = "log",
        unlabeled: UnlabeledRule = "ignore",
        eps: float = 1e-3,
    ) -> None:
        super().__init__()
        for key, value, known in (
            ("form", form, ("l1", "l2", "abs_mean")),
            ("space", space, ("linear", "log")),
            ("unlabeled", unlabeled, ("ignore", "one_region")),
        ):
            if value not in known:
                raise ValueError(f"RegionLoss: `{key}` must be one of {', '.join(known)}, got {value!r}")
        self.form, self.space, self.unlabeled, self.eps = form, space, unlabeled, eps

    def forward(self, prediction: Tensor, target: Tensor, regions: Tensor, valid: Tensor) -> Tensor:
        """Compute the loss in float32 at least, under autocast too.

        Args:
            prediction: (B, 1, H, W) depth or region support, metres.
            target: (B, 1, H, W) its truth, metres, positive where ``valid``.
            regions: (B, H, W) int64 ids; 0 = none.
            valid: (B, 1, H, W) bool; other pixels have no influence whatever they hold.

        Returns:
            Scalar; 0 with zero gradients if there is no region.

        Raises:
            ValueError: if shapes do not fit.
        """
        if not (prediction.shape == target.shape == valid.shape and regions.shape == prediction[:, 0].shape):
            raise ValueError(
                "prediction, target and valid must have one shape (B, 1, H, W), and regions (B, H, W), got "
                f"{tuple(prediction.shape)}, {tuple(target.shape)}, {tuple(valid.shape)} and {tuple(regions.shape)}"
            )
        used = valid[:, 0] if self.unlabeled == "one_region" else valid[:, 0] & (regions > 0)
        errors = masked_errors(prediction, target, used[:, None], self.space, self.eps)[:, 0]
        return mean_over_regions(errors, regions, used, self.form)


class PixelLoss(nn.Module):
    """Mean squared error of an image's pixels, mean over images, :math:`L_2` (section 3.1, equation 1).

    Args:
        space: ``linear`` metres or ``log``, natural.
        eps: metres, floor of the prediction under the logarithm; below it the gradient is 0.
    """

    def __init__(self, space: Space = "log", eps: float = 1e-3) -> None:
        super().__init__()
        self.space: Space = space
        self.eps = eps

    def forward(self, prediction: Tensor, target: Tensor, regions: Tensor, valid: Tensor) -> Tensor:
        """Compute the loss; takes what :class:`RegionLoss` takes, and does not read ``regions``."""
        errors = masked_errors(prediction, target, valid, self.space, self.eps)[:, 0]
        return mean_over_regions(errors, torch.ones_like(regions), valid[:, 0], "l2")


class IterationLoss(nn.Module):
    """Weighted sum of a loss over the refinement's iterations, :math:`L_i` (section 3.2, equation 3).

    Args:
        loss: of one iteration.
        weights: of the iterations, the first to the last.
    """

    def __init__(self, loss: nn.Module, weights: Sequence[float] = (0.2, 0.3, 0.5)) -> None:
        super().__init__()
        self.loss = loss
        self.weights = tuple(weights)

    def forward(self, predictions: Sequence[Tensor], target: Tensor, regions: Tensor, valid: Tensor) -> Tensor:
        """Compute the weighted sum, a scalar.

        Args:
            predictions: one of each iteration, the first to the last, each (B, 1, H, W).
            target: (B, 1, H, W) truth of all of them.
            regions: (B, H, W) int64 ids; 0 = none.
            valid: (B, 1, H, W) bool.

        Raises:
            ValueError: if there are not as many predictions as weights.
        """
        if len(predictions) != len(self.weights):
            raise ValueError(f"{len(self.weights)} weights of iterations, but {len(predictions)} iterations")
        terms = [
            weight * self.loss(prediction, target, regions, valid)
            for weight, prediction in zip(self.weights, predictions, strict=True)
        ]
        return torch.stack(terms).sum()


def masked_errors(prediction: Tensor, target: Tensor, used: Tensor, space: Space, eps: float) -> Tensor:
    """Return signed errors of one shape, float32 at least, 0 with gradient 0 where ``used`` is false."""
    dtype = torch.promote_types(prediction.dtype, torch.float32)
    # Masked before the logarithm: an unused pixel has gradient 0 whatever it holds.
    prediction, target = prediction.to(dtype).where(used, 1.0), target.to(dtype).where(used, 1.0)
    if space == "linear":
        return prediction - target
    return prediction.clamp(min=eps).log() - target.clamp(min=eps).log()


def mean_over_regions(errors: Tensor, regions: Tensor, used: Tensor, form: RegionForm) -> Tensor:
    """Return the mean over images of the mean over regions of a region's mean error.

    Args:
        errors: (B, H, W) signed, 0 where ``used`` is false.
        regions: (B, H, W) int64 ids of any size.
        used: (B, H, W) bool, the pixels that count.
        form: what becomes of the errors, see :class:`RegionLoss`.
    """
    places, columns = table_places(regions)
    values = {"l1": errors.abs, "l2": errors.square, "abs_mean": lambda: errors}[form]()
    table = errors.new_zeros(len(errors) * columns)
    sums = table.index_add(0, places.flatten(), values.flatten())
    pixels = table.index_add(0, places.flatten(), used.flatten().to(errors.dtype)).view(-1, columns)
    means = sums.view(-1, columns) / pixels.clamp(min=1)
    count = (pixels > 0).sum(1)
    of_images = (means.abs() if form == "abs_mean" else means).sum(1) / count.clamp(min=1)
    total = sum_over_processes(torch.stack([of_images.sum(), (count > 0).sum().to(errors.dtype)]))
    return total[0] / total[1].clamp(min=1)
