"""Intersections of rays with convex bodies, for whole tiles of rays at once.

A body is a unit box, cylinder or ball under an affine map; the map's inverse takes the rays to the unit body and keeps
their parameter t. Rays come in tiles of neighbours (N tiles of R rays); each tile is tested only against its
``candidates``, the bodies that it can meet at all, which is what makes the caster fast: about one body in ten.

Layout: components come before rays, (..., 3, R), so that every component is contiguous.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.rooms.bodies import Kind, Scene

#: Ray-body pairs tested at once: small enough for a CPU's cache, large enough to fill a GPU.
PAIRS_AT_ONCE = {"cpu": 2**18, "cuda": 2**25}

#: Keeps reciprocals of vanishing components finite; far below what a direction's components differ by.
TINY = 1e-12


def length(vectors: Tensor, dim: int = 1) -> Tensor:
    """Return Euclidean length along ``dim``; for three components far faster than ``torch.linalg.vector_norm``."""
    return (vectors * vectors).sum(dim=dim).sqrt_()


def unit_interval(kind: Kind, origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Return where rays enter and leave a unit body: Kay and Kajiya's slabs for a box, quadratics for round bodies.

    Args:
        kind: shape of the body.
        origin: (..., 3, R) or (..., 3, 1) in the body's unit frame.
        direction: (..., 3, R).

    Returns:
        (..., R) parameters t of entry and exit; entry > exit where the ray's line misses the body.
    """
    if kind == Kind.BOX:
        inverse = (direction + TINY).reciprocal_()
        middle, reach = inverse * origin, inverse.abs_()
        entry, leave = (middle + reach).neg_(), reach.sub_(middle)
        return entry.amax(dim=-2), leave.amin(dim=-2)
    if kind == Kind.CYLINDER:
        entry, leave = _quadric(origin[..., :2, :], direction[..., :2, :])
        inverse = (direction[..., 2, :] + TINY).reciprocal_()
        middle, reach = inverse * origin[..., 2, :], inverse.abs()
        return torch.maximum(entry, -middle - reach), torch.minimum(leave, reach - middle)
    return _quadric(origin, direction)


def _quadric(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Interval in which |origin + t direction| <= 1, through the line's closest point: no cancellation far away."""
    squared = (direction * direction).sum(dim=-2) + TINY
    closest = -(origin * direction).sum(dim=-2) / squared
    offset = origin + closest.unsqueeze(-2) * direction
    inside = 1 - (offset * offset).sum(dim=-2)
    reach = (inside.abs() / squared).sqrt_().copysign_(inside)  # negative, hence entry > exit, where the line misses
    return closest - reach, closest + reach


class Maps(NamedTuple):
    """The affine maps world -> unit body: ``matrix`` (P, 3, 3) and ``shift`` (P, 3, 1), p -> matrix p - shift."""

    matrix: Tensor
    shift: Tensor


def unit_maps(scene: Scene, *, inflate: float = 0.0) -> Maps:
    """Return maps of all bodies of a scene, whose half sizes are first made larger by ``inflate`` metres."""
    bodies = scene.bodies
    matrix = scene.rotation[:bodies].mT / (scene.half[:bodies] + inflate)[..., None]
    return Maps(matrix, matrix @ scene.centre[:bodies, :, None])


def chunks(candidates: Tensor, rays: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield the tiles in chunks of about equal numbers of candidates.

    Args:
        candidates: (N, P) bool, the bodies that a tile can meet.
        rays: rays in a tile.

    Yields:
        tiles (n,), bodies (n, K) and whether an entry of ``bodies`` is a candidate at all (n, K).
    """
    counts, order = candidates.sum(dim=1).sort(descending=True, stable=True)
    limit = PAIRS_AT_ONCE.get(candidates.device.type, PAIRS_AT_ONCE["cpu"])
    sizes, start = counts.tolist(), 0
    while start < len(sizes) and sizes[start] > 0:
        tiles = order[start : start + max(1, limit // (rays * sizes[start]))]
        real, bodies = candidates[tiles].to(torch.uint8).topk(sizes[start], dim=1)
        yield tiles, bodies, real.bool()
        start += len(tiles)


def nearest(scene: Scene, candidates: Tensor, origin: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Return first hit of rays from one point, inside the room.

    Args:
        scene: the scene.
        candidates: (N, P) bool.
        origin: (3,) the eye, metres.
        directions: (N, 3, R) in the world frame, of any length.

    Returns:
        t (N, R) float32 in units of the direction's length, and the surface hit (N, R) int64: every ray hits, if
        nothing else a face of the room.
    """
    best, surface = _room_exit(scene, origin, directions)
    maps = unit_maps(scene)
    rays = directions.shape[-1]
    starts = maps.matrix @ origin[:, None] - maps.shift
    for kind in Kind:
        for tiles, bodies, real in chunks(candidates & (scene.kind == kind), rays):
            local = (maps.matrix[bodies].flatten(1, 2) @ directions[tiles]).unflatten(1, (-1, 3))
            entry, leave = unit_interval(kind, starts[bodies], local)
            hit = (entry <= leave) & (entry > 0) & real[..., None]
            t, which = entry.masked_fill_(~hit, torch.inf).min(dim=1)
            closer = t < best[tiles]
            surface[tiles] = torch.where(closer, bodies.gather(1, which), surface[tiles])
            best[tiles] = torch.where(closer, t, best[tiles])
    return best, surface


def _room_exit(scene: Scene, origin: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays leave the room's box, and through which face (a surface index)."""
    centre, half = scene.centre[-1], scene.half[-1]
    towards = directions + TINY
    t = ((half[:, None] * towards.sign() - (origin - centre)[:, None]) / towards).min(dim=1)
    upper = towards.gather(1, t.indices[:, None])[:, 0] > 0
    return t.values, scene.bodies + 2 * t.indices + upper


def occluded(scene: Scene, points: Tensor, lights: Tensor) -> Tensor:
    """Return whether a body stands between points and a light.

    Args:
        scene: the scene.
        points: (N, 3, R) lifted off their own surface.
        lights: (N, 3, R) the point of the light that each one looks at.

    Returns:
        (N, R) bool.
    """
    towards = lights - points
    maps = unit_maps(scene)
    shadow = torch.zeros(points.shape[0], points.shape[2], dtype=torch.bool, device=points.device)
    candidates = _between(scene, points, lights) & scene.casts_shadow
    for kind in Kind:
        for tiles, bodies, real in chunks(candidates & (scene.kind == kind), points.shape[2]):
            matrix = maps.matrix[bodies].flatten(1, 2)
            starts = (matrix @ points[tiles]).unflatten(1, (-1, 3)) - maps.shift[bodies]
            entry, leave = unit_interval(kind, starts, (matrix @ towards[tiles]).unflatten(1, (-1, 3)))
            shadow[tiles] |= ((entry <= leave) & (entry < 1) & (leave > 0) & real[..., None]).any(dim=1)
    return shadow


def _between(scene: Scene, points: Tensor, lights: Tensor) -> Tensor:
    """(N, P) bodies that meet the capsule around a tile's segments: a segment against boxes inflated by its radius."""
    middle, middle_light = points.mean(dim=2), lights.mean(dim=2)
    spread = [
        length(ends - centre[..., None]).amax(dim=1) for ends, centre in ((points, middle), (lights, middle_light))
    ]
    radius = torch.maximum(*spread)
    bodies = scene.bodies
    rotation = scene.rotation[:bodies].mT
    size = (scene.half[:bodies] + radius[:, None, None])[..., None]  # (N, P, 3, 1)
    start = rotation @ (middle[:, None] - scene.centre[:bodies])[..., None] / size
    direction = rotation @ (middle_light - middle)[:, None, :, None] / size
    entry, leave = unit_interval(Kind.BOX, start, direction)
    return ((entry <= leave) & (entry < 1) & (leave > 0))[..., 0]
