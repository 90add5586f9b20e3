"""Edges of the error: what an error map changes by from pixel to pixel, at several scales."""

from collections.abc import Callable

import torch
from torch import Tensor

#: Scales of the release of MiDaS, each half as fine as the one before.
SCALES = 4


def gradient_matching(
    error: Tensor, valid: Tensor, total: Callable[[Tensor], Tensor] = torch.sum, scales: int = SCALES
) -> Tensor:
    r"""Multi-scale gradient matching (Li, Snavely, "MegaDepth", CVPR 2018; Ranftl et al., "MiDaS", TPAMI 2022).

    .. math:: \sum_k \frac{1}{M_k} \sum_i |\nabla_x R_i^k| + |\nabla_y R_i^k|

    with :math:`R^k` every :math:`2^k`-th row and column of the error map, :math:`M_k` its valid pixels, and differences
    between neighbours that are both valid. It wants the error to be smooth, and what edges remain in it to be few: a
    prediction has the truth's edges, and no others.

    Args:
        error: (B, 1, H, W), prediction less truth, of logarithms here; finite where valid.
        valid: (B, 1, H, W) bool.
        total: sums of maps (B, 1, h, w) over all that a mean is taken over.
        scales: number of scales.

    Returns:
        Of the shape that ``total`` gives; 0 where nothing is valid.
    """
    loss = error.new_zeros(())
    for step in (2**k for k in range(scales)):
        residual, seen = error[..., ::step, ::step], valid[..., ::step, ::step]
        count = total(seen.to(error.dtype)).clamp(min=1)
        for dim in (-1, -2):
            size = residual.shape[dim] - 1
            here, there = residual.narrow(dim, 0, size), residual.narrow(dim, 1, size)
            both = seen.narrow(dim, 0, size) & seen.narrow(dim, 1, size)
            loss = loss + total((there - here).abs().where(both, 0.0)) / count
    return loss
