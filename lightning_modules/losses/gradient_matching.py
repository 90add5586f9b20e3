"""Gradient matching: how much an error map changes from pixel to pixel, at several scales."""

from collections.abc import Callable

import torch
from torch import Tensor

#: Number of scales in the release of MiDaS, each of half the resolution of the one before.
SCALES = 4


def gradient_matching(
    error: Tensor, valid: Tensor, total: Callable[[Tensor], Tensor] = torch.sum, scales: int = SCALES
) -> Tensor:
    r"""Compute multi-scale gradient matching (Li, Snavely, "MegaDepth", CVPR 2018; Ranftl et al., "MiDaS", TPAMI 2022).

    .. math:: \sum_k \frac{1}{M_k} \sum_i |\nabla_x R_i^k| + |\nabla_y R_i^k|

    with :math:`R^k` every :math:`2^k`-th row and column of the error map, :math:`M_k` its valid pixels, and differences
    between neighbours that are both valid. It is small where the error is smooth: where a prediction has the truth's
    edges, and no others.

    Args:
        error: R, (B, 1, H, W), prediction less truth (MegaDepth: of their logarithms); finite where valid.
        valid: (B, 1, H, W) bool.
        total: sums a map (B, 1, h, w) over all pixels that one mean is taken over, of each image or of all of them.
        scales: number of scales.

    Returns:
        Tensor of the shape that ``total`` returns; 0 where nothing is valid.
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
