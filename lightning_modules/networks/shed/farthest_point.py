"""Farthest point sampling: the seeds of the coarse segments."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class SquaredDistances(NamedTuple):
    """What picking needs to know of the points; nothing is farther than 0 from itself, and pads are nowhere.

    Attributes:
        between: (B, n, n), row i holds the distances from point i; -1 to what counts as the same point.
        to_mean: (B, n), -1 for pads.
    """

    between: Tensor
    to_mean: Tensor


@torch.no_grad()
def squared_distances(points: Tensor, pad: Tensor | None = None, dtype: torch.dtype | None = None) -> SquaredDistances:
    """All pairwise distances, from the Gram matrix of the centred points; arguments as of :func:`farthest_points`."""
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
    is left of a pick is one argmax and one minimum over (B, n), on a CPU by NumPy: over so few numbers calling torch
    takes ten times as long.

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
    check_count(k, points.shape[1])
    pick = _pick_on_cpu if points.device.type == "cpu" else _pick
    seeds, gaps = pick(squared_distances(points, pad, dtype), k)
    distinct = (gaps >= 0).sum(1, keepdim=True).clamp(min=1)
    return seeds.gather(1, torch.arange(k, device=points.device) % distinct)


def _pick(distances: SquaredDistances, k: int) -> tuple[Tensor, Tensor]:
    """Picks (B, k) and how far each was from those before it, negative once all distinct points are picked."""
    to_picks = distances.to_mean
    image = torch.arange(len(to_picks), device=to_picks.device)
    seeds, gaps = [], []
    for _ in range(k):
        gap, farthest = to_picks.max(1)
        seeds.append(farthest)
        gaps.append(gap)
        to_picks = torch.minimum(to_picks, distances.between[image, farthest])
    return torch.stack(seeds, 1), torch.stack(gaps, 1)


def _pick_on_cpu(distances: SquaredDistances, k: int) -> tuple[Tensor, Tensor]:
    """The same, image by image."""
    batch = len(distances.to_mean)
    seeds, gaps = np.empty((batch, k), np.int64), np.empty((batch, k))
    for image, (between, to_mean) in enumerate(zip(*(d.numpy() for d in distances), strict=True)):
        to_picks = to_mean.copy()
        for i in range(k):
            farthest = to_picks.argmax()
            seeds[image, i], gaps[image, i] = farthest, to_picks[farthest]
            np.minimum(to_picks, between[farthest], out=to_picks)
    return torch.from_numpy(seeds), torch.from_numpy(gaps)


def check_count(k: int, n: int) -> None:
    """Refuse to pick k of n points.

    Raises:
        ValueError: if k exceeds n.
    """
    if k > n:
        raise ValueError(f"{k} segments cannot be seeded from {n} tokens; lower `num_segments` or enlarge the image")
