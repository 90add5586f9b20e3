"""Exact distances from points to the nearest of a cloud, as few large tensor operations: for a GPU.

Points in an order like that of :func:`compact_order` are cut into groups of neighbours. One point of each group of the
cloud gives a bound of each distance, which tells in which groups the nearest may be; only these pairs of groups are
compared, all points with all.
"""

import torch
from torch import Tensor

#: Points of a group, and rows and columns of pixels that stand together.
SIZE, TILE = 64, 16

#: Pairs of points whose distances are in memory at a time: 128 MiB of float64.
PAIRS = 2**24

#: Room for round-off in the bound of a squared distance, relative and absolute (square metres).
SLACK = (1 + 1e-9, 1e-12)


def compact_order(rows: Tensor, columns: Tensor, depth: Tensor) -> Tensor:
    """Return the order (N,) of pixels in which points that follow one another are near in space.

    Args:
        rows: (N,) of the pixels.
        columns: (N,) of the pixels.
        depth: (N,) along their rays; the surfaces on both sides of an edge come after one another.
    """
    by_depth = depth.argsort()
    tiles = (rows // TILE << 32) + columns // TILE
    return by_depth[tiles[by_depth].argsort(stable=True)]


def distances_by_groups(points: Tensor, cloud: Tensor) -> Tensor:
    """Return the distance of each point to the nearest of a cloud.

    The nearest of a group is found from products of coordinates about the middle of the asking group, which in float64
    tells squared distances apart that differ by 1e-16 of the group's size squared; its own distance is then exact.

    Args:
        points: (N, 3) float64, N > 0, in an order like that of :func:`compact_order`; any other takes longer.
        cloud: (M, 3) float64, M > 0, in such an order.

    Returns:
        (N,) distances, in the unit of the points.
    """
    asked, known = _groups(points), _groups(cloud)
    bounds = _bounds(asked, known[:, SIZE // 2])
    middles = asked.mean(1, keepdim=True)
    nearest = torch.full(asked.shape[:2], torch.inf, dtype=asked.dtype, device=asked.device)
    at_a_time = max(1, PAIRS // len(known))
    for start in range(0, len(asked), at_a_time):
        part = slice(start, start + at_a_time)
        pairs = (_gaps(asked[part], known) <= bounds[part, None]).nonzero()
        for own, other in (chunk.unbind(1) for chunk in pairs.split(PAIRS // SIZE**2)):
            own = own + start
            here, there = asked[own] - middles[own], known[other] - middles[own]
            at = _products(here, there).argmin(2)  # (P, SIZE)
            least = (here - there.gather(1, at[..., None].expand_as(here))).square().sum(2)
            nearest.scatter_reduce_(0, own[:, None].expand_as(least), least, "amin")
    return nearest.flatten()[: len(points)].sqrt()


def _groups(points: Tensor) -> Tensor:
    """(G, SIZE, 3) groups of (N, 3) points; the last point stands in all places that are left over."""
    return torch.cat([points, points[-1:].expand(-len(points) % SIZE, 3)]).view(-1, SIZE, 3)


def _products(points: Tensor, cloud: Tensor) -> Tensor:
    """(P, N, M) squared distances of points p (P, N, 3) to those of a cloud (P, M, 3), less the square of p."""
    return torch.baddbmm(cloud.square().sum(2)[:, None], points, cloud.mT, alpha=-2)


def _bounds(asked: Tensor, seen: Tensor) -> Tensor:
    """(G,) upper bounds of the squared distances in groups (G, SIZE, 3), from some points (M, 3) of the cloud."""
    at_a_time = max(1, PAIRS // (SIZE * len(seen)))
    least = [_products(part.flatten(0, 1)[None], seen[None]).amin(2).view(-1, SIZE) for part in asked.split(at_a_time)]
    return (asked.square().sum(2) + torch.cat(least)).amax(1) * SLACK[0] + SLACK[1]


def _gaps(asked: Tensor, known: Tensor) -> Tensor:
    """(G, H) squared distances between the boxes around groups (G, SIZE, 3) and (H, SIZE, 3)."""
    low, high = (corner[:, None] for corner in asked.aminmax(dim=1))
    least, most = known.aminmax(dim=1)
    sides = (torch.maximum(low[..., i] - most[:, i], least[:, i] - high[..., i]).clamp(min=0) for i in range(3))
    return sum((side.square() for side in sides), torch.zeros((), dtype=asked.dtype, device=asked.device))
