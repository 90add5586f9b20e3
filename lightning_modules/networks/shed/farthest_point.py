"""Farthest point sampling: the seeds of the coarse segments."""

from typing import NamedTuple

import torch
from torch import Tensor


class SquaredDistances(NamedTuple):
    """Squared distances of points, with -1 for points that must not be picked.

    Attributes:
        between: (B, n, n), row i holds the distances from point i; -1 to what counts as the same point.
        to_mean: (B, n) distances from the mean of an image's points; -1 for pads.
    """

    between: Tensor
    to_mean: Tensor


@torch.no_grad()
def squared_distances(points: Tensor, pad: Tensor | None = None, dtype: torch.dtype | None = None) -> SquaredDistances:
    """Compute all pairwise distances from the Gram matrix of the centred points.

    Args:
        points: (B, n, d).
        pad: (B, n) bool, true for tokens that stand for nothing.
        dtype: of the distances; None is float64, or float32 on MPS.
    """
    dtype = dtype or (torch.float32 if points.device.type == "mps" else torch.float64)
    same = 1e-10 if dtype == torch.float64 else 1e-5
    own = points.new_ones(points.shape[:2], dtype=torch.bool) if pad is None else ~pad
    with torch.autocast(points.device.type, enabled=False):
        points = points.to(dtype)
        mean = (points * own[..., None]).sum(1, keepdim=True) / own.sum(1)[:, None, None]
        centred = points - mean  # keeps the round-off of the Gram matrix small beside the distances
        squared_norm = centred.square().sum(2)
        between = torch.baddbmm(squared_norm[:, None], centred, centred.mT, alpha=-2) + squared_norm[:, :, None]
    between = between.masked_fill(between <= same * squared_norm[:, None], -1)  # what is picked is done with
    return SquaredDistances(between, squared_norm.masked_fill(~own, -1))


@torch.no_grad()
def farthest_points(points: Tensor, k: int, pad: Tensor | None = None, dtype: torch.dtype | None = None) -> Tensor:
    """Pick k points, each the farthest from those picked before, the first the farthest from the mean.

    This is CAST's rule: sampling starts at the mean token, which is then dropped (SHED section 3.1, its references
    [34] and [52]). All pairwise squared distances are computed once, from the Gram matrix of the centred points; what
    is left of a pick is one argmax and one minimum over (B, n).

    Ties go to the first index. Pads are never picked, nor are repetitions: points whose distance is round-off beside
    their distances from the mean count as one. Where that leaves fewer than k, as in an image of few superpixels, the
    picks start over from the first.

    Args:
        points: (B, n, d).
        k: number of picks, at most n.
        pad: (B, n) bool, true for tokens that stand for nothing; at least one token of each image must be false.
        dtype: of the distances. By default float64, which decides near ties as exact arithmetic would and which no
            reduced-precision matmul mode touches; float32 on MPS, which has no float64.

    Returns:
        (B, k) int64 indices, in the order of picking.

    Raises:
        ValueError: if k exceeds n.
    """
    batch, n, _ = points.shape
    check_count(k, n)
    distance, to_picks = squared_distances(points, pad, dtype)
    image = torch.arange(batch, device=points.device)
    seeds, gaps = [], []
    for _ in range(k):
        gap, farthest = to_picks.max(1)
        seeds.append(farthest)
        gaps.append(gap)
        to_picks = torch.minimum(to_picks, distance[image, farthest])
    distinct = (torch.stack(gaps, 1) >= 0).sum(1, keepdim=True).clamp(min=1)
    pick = torch.arange(k, device=points.device) % distinct
    return torch.stack(seeds, 1).gather(1, pick)


def check_count(k: int, n: int) -> None:
    """Refuse to pick k of n points.

    Raises:
        ValueError: if k exceeds n.
    """
    if k > n:
        raise ValueError(f"{k} segments cannot be seeded from {n} tokens; lower `segments` or enlarge the image")
