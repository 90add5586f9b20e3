"""Hit points and the light that arrives at them: direct, shadowed by bodies; ambient, dimmed near corners."""

from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.rooms.bodies import Kind, Scene
from datamodules.rooms.raycast import chunks, length, occluded

#: Reach of the ambient darkening, metres, and its strength.
REACH, STRENGTH = 0.4, 0.62

#: Shadow rays start this far off their surface, metres.
LIFT = 2e-3


class Hits(NamedTuple):
    """Geometry of hit points.

    Attributes:
        points: (N, 3, R) world, metres.
        normals: (N, 3, R) unit, towards the room's inside.
        local: (N, 3, R) the points in their body's own frame, metres from its centre.
        axis: (N, R) int64 the body's axis that the normal is closest to.
        face: (N, R) int64 equal for points between which the normal varies smoothly.
    """

    points: Tensor
    normals: Tensor
    local: Tensor
    axis: Tensor
    face: Tensor


def largest(vectors: Tensor) -> Tensor:
    """Return (N, 3, R) int64, 1 at the component of largest magnitude, the first of equals, else 0."""
    x, y, z = vectors.abs().unbind(1)
    first = (x >= y) & (x >= z)
    second = ~first & (y >= z)
    return torch.stack([first, second, ~(first | second)], dim=1).long()


def hit_geometry(scene: Scene, origin: Tensor, directions: Tensor, t: Tensor, surface: Tensor) -> Hits:
    """Return points and normals of hits.

    Args:
        scene: the scene.
        origin: (3,) the eye.
        directions: (N, 3, R).
        t: (N, R) ray parameters.
        surface: (N, R) surfaces hit.
    """
    points = origin[:, None] + t[:, None] * directions
    rotation = scene.rotation.permute(1, 2, 0)[:, :, surface].permute(2, 0, 1, 3)  # (N, 3 world, 3 body, R)
    offset = points - scene.centre.T[:, surface].transpose(0, 1)
    local = (rotation * offset[:, :, None]).sum(dim=1)
    half = scene.half.T[:, surface].transpose(0, 1)
    unit = local / half
    flat = unit.sign() * largest(unit)
    kinds = torch.cat([scene.kind, scene.kind.new_full((6,), Kind.BOX)])[surface][:, None]
    radial = length(unit[:, :2])[:, None]
    side = torch.cat([unit[:, :2], torch.zeros_like(radial)], dim=1) / half
    cap = torch.zeros_like(unit)
    cap[:, 2] = unit[:, 2].sign()
    round_ = torch.where(unit[:, 2:].abs() > radial, cap, side)
    normal = torch.where(kinds == Kind.BOX, flat, torch.where(kinds == Kind.CYLINDER, round_, unit / half))
    normal = torch.where((surface >= scene.bodies)[:, None], -normal, normal)
    world = (rotation * normal[:, None]).sum(dim=2)
    axes = largest(normal)
    axis = axes[:, 1] + 2 * axes[:, 2]
    curved = (kinds[:, 0] != Kind.BOX) & (normal[:, :2] != 0).any(dim=1)
    face = torch.where(curved, 6, 2 * axis + ((axes * normal).sum(dim=1) > 0))
    return Hits(points, world / length(world)[:, None], local, axis, surface * 7 + face)


def openness(scene: Scene, hits: Hits, surface: Tensor) -> Tensor:
    """Return (N, R) share of the ambient light that reaches points: less in corners and beside other bodies.

    Each body within ``REACH`` of a point, and each face of the room, takes away a share that falls with its distance
    and with the angle between the normal and the direction to it. Cheap, smooth and free of noise.
    """
    half, centre = scene.half[-1][:, None], scene.centre[-1][:, None]
    lower = hits.points - centre + half
    share = torch.ones_like(lower[:, 0])
    for distance, facing in ((lower, -hits.normals), (2 * half - lower, hits.normals)):
        taken = STRENGTH * (0.5 + 0.5 * facing) * (1 - distance / REACH).clamp(0, 1) ** 2
        taken = torch.where(facing < -0.99, 0.0, taken)  # the face that the point lies on
        share = share * (1 - taken).prod(dim=1)

    bodies, rays = scene.bodies, surface.shape[1]
    middle = hits.points.mean(dim=2)
    radius = length(hits.points - middle[..., None]).amax(dim=1)
    rotation = scene.rotation[:bodies]
    offset = ((middle[:, None] - scene.centre[:bodies])[..., None, :] @ rotation)[..., 0, :]
    near = (offset.abs() <= scene.half[:bodies] + (radius + REACH)[:, None, None]).all(dim=2) & scene.casts_shadow
    turned = rotation.mT
    for tiles, index, real in chunks(near, rays):
        matrix = turned[index].flatten(1, 2)
        local = (matrix @ hits.points[tiles]).unflatten(1, (-1, 3)) - (turned @ scene.centre[:bodies, :, None])[index]
        normal = (matrix @ hits.normals[tiles]).unflatten(1, (-1, 3))
        size = scene.half[:bodies, :, None][index]
        towards = torch.maximum(torch.minimum(local, size), -size) - local
        distance = length(towards, dim=2)
        cosine = (towards * normal).sum(dim=2) / (distance + 1e-3)
        taken = STRENGTH * (0.5 + 0.5 * cosine) * (1 - distance / REACH).clamp(0, 1) ** 2
        other = (index[..., None] != surface[tiles][:, None]) & real[..., None]
        share[tiles] *= torch.where(other, 1 - taken, 1.0).prod(dim=1)
    return share


class Light(NamedTuple):
    """Light that arrives at points.

    Attributes:
        ambient: (N, 3, R) irradiance from all around.
        direct: (N, L, 3, R) irradiance from each light, shadows left out.
        visible: (N, L, R) 1 where the sampled point of a light is seen, else 0.
    """

    ambient: Tensor
    direct: Tensor
    visible: Tensor


def illuminate(scene: Scene, hits: Hits, surface: Tensor, phase: Tensor) -> Light:
    """Return the light at hit points; each is lit from one sampled point of a light, its neighbours from others.

    Args:
        scene: the scene.
        hits: the points.
        surface: (N, R) surfaces hit.
        phase: (N, R) number 0..8 in a block of 3 x 3 neighbours: which ninth of the light to look at.
    """
    up = (0.5 + 0.5 * hits.normals[:, 2:]).clamp(0, 1)
    above, below = scene.ambient[:, :, None]
    ambient = (above * up + below * (1 - up)) * openness(scene, hits, surface)[:, None]
    start = hits.points + LIFT * hits.normals
    lamps = [_direct(scene, lamp, start, hits.normals, phase) for lamp in scene.lights]
    return Light(ambient, *(torch.stack(values, dim=1) for values in zip(*lamps, strict=True)))


def _direct(scene: Scene, lamp: Tensor, points: Tensor, normals: Tensor, phase: Tensor) -> tuple[Tensor, Tensor]:
    """Irradiance (N, 3, R) of an area light, taken at its middle, and visibility (N, R) of one point of it."""
    centre, first, second, facing, colour = (row[:, None] for row in lamp)
    towards = centre - points
    distance = length(towards)[:, None]
    cosine = (towards * normals).sum(dim=1, keepdim=True) / distance
    leaving = -(towards * facing).sum(dim=1, keepdim=True) / distance
    strength = cosine.clamp_min(0) * leaving.clamp_min(0) / (distance * distance + 0.25)
    lit = (strength > 0).flatten(1).any(dim=1).nonzero()[:, 0]
    column, row = (phase[lit] % 3 - 1) * (2 / 3), (phase[lit] // 3 - 1) * (2 / 3)
    target = centre + first * column[:, None] + second * row[:, None]
    visible = torch.zeros_like(strength[:, 0])
    visible[lit] = (~occluded(scene, points[lit], target)).to(visible.dtype)
    return colour * strength, visible
