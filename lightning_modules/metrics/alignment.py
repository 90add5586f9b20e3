"""Alignment of a depth prediction to the truth of its image, for methods whose scale (or shift) is not metric."""

from typing import Literal

import torch
from torch import Tensor

Alignment = Literal["none", "median", "scale", "least_squares", "inverse_least_squares", "log"]

# Metres. Where the line fitted to inverse depth falls to zero or below, the depth is beyond any range.
FARTHEST = 1e6


def align(prediction: Tensor, target: Tensor, valid: Tensor, method: Alignment) -> Tensor:
    """Scale, or scale and shift, each image's prediction onto its truth.

    * ``median``: by median(truth) / median(prediction) (Zhou et al. 2017, SfMLearner, section 4.2).
    * ``scale``: by the factor that minimises the squared error in depth.
    * ``least_squares``: scale and shift that minimise the squared error in depth (Ranftl et al. 2020, MiDaS, Eq. 4).
      A constant prediction has no best scale; it becomes the truth's mean.
    * ``inverse_least_squares``: the same for inverse depth, which is what it takes; it returns depth. Inverse depth
      that the line brings to 0 or below becomes :data:`FARTHEST`. For methods of relative disparity, as MiDaS.
    * ``log``: scale that makes the mean log error zero (Eigen et al. 2014, the alpha of Eq. 1); non-positive
      predictions have no logarithm and do not take part in the fit.

    Non-finite predictions take no part in any fit, so that they stay countable afterwards. An image without a pixel
    to fit may come back as NaN: it has no metric either way.

    Args:
        prediction: (B, 1, H, W) float depth; inverse depth for ``inverse_least_squares``.
        target: (B, 1, H, W) float depth, positive where valid.
        valid: (B, 1, H, W) bool, the pixels to fit.
        method: one of the above, or ``none``.

    Returns:
        (B, 1, H, W) aligned prediction.
    """
    if method == "inverse_least_squares":
        inverse = align(prediction, 1 / target, valid, "least_squares")
        return 1 / inverse.clamp(min=1 / FARTHEST)
    fitted = valid & prediction.isfinite()
    if method == "median":
        return prediction * (_masked_median(target, fitted) / _masked_median(prediction, fitted))
    if method == "scale":
        product, square = _masked_mean(prediction * target, fitted), _masked_mean(prediction.square(), fitted)
        return prediction * torch.where(square > 0, product / square, 0.0)
    if method == "least_squares":
        mean_prediction, mean_target = _masked_mean(prediction, fitted), _masked_mean(target, fitted)
        centred = prediction - mean_prediction
        variance = _masked_mean(centred.square(), fitted)
        covariance = _masked_mean(centred * (target - mean_target), fitted)
        scale = torch.where(variance > 0, covariance / variance, 0.0)
        return scale * centred + mean_target
    if method == "log":
        fitted = fitted & (prediction > 0)
        log_ratio = target.where(fitted, 1.0).log() - prediction.where(fitted, 1.0).log()
        return prediction * _masked_mean(log_ratio, fitted).exp()
    return prediction


def _masked_mean(maps: Tensor, mask: Tensor) -> Tensor:
    """(B, 1, 1, 1) mean over each image's masked pixels, 0 where it has none."""
    dims = (1, 2, 3)
    return maps.where(mask, 0.0).sum(dims, keepdim=True) / mask.sum(dims, keepdim=True).clamp(min=1)


def _masked_median(maps: Tensor, mask: Tensor) -> Tensor:
    """(B, 1, 1, 1) median over each image's masked pixels, NaN where it has none.

    NumPy's median, the mean of the two middle values, as the public evaluations use it; ``torch.nanmedian`` would give
    the lower of the two.
    """
    return maps.where(mask, torch.nan).flatten(1).nanquantile(0.5, dim=1).view(-1, 1, 1, 1)
