"""From a scene and a camera walk to frames: colour, planar depth, labels, instances and occlusion boundaries."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from datamodules.rooms.bodies import Kind, Scene
from datamodules.rooms.camera import Grid, Pose, grid, visible_bodies
from datamodules.rooms.occlusion import occlusion_boundaries
from datamodules.rooms.raycast import length, nearest
from datamodules.rooms.shading import Hits, hit_geometry, illuminate
from datamodules.rooms.textures import albedo

#: Samples shaded at once; bounds the memory.
SAMPLES_AT_ONCE = {"cpu": 2**15, "cuda": 2**21}

#: Standard deviation of the sensor noise after the tone curve, in 0..1.
SENSOR_NOISE = 0.012

#: A pixel and its neighbours, the nearest first.
WINDOW = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))


@dataclass(frozen=True)
class RenderedScene:
    """F frames of one scene.

    Attributes:
        rgb: (F, H, W, 3) uint8.
        depth: (F, H, W) float32, planar z of the surface at the pixel centre, metres.
        labels: (F, H, W) int64, NYUv2's fine class id 1..894.
        instances: (F, H, W) int64, counted per class from 1: an object is the pair (label, instance).
        occlusion: (F, H, W) bool, see ``occlusion.py``.
        radiance: (F, H, W, 3) float32, linear RGB before exposure, tone curve and noise.
    """

    rgb: Tensor
    depth: Tensor
    labels: Tensor
    instances: Tensor
    occlusion: Tensor
    radiance: Tensor


def render_scene(
    scene: Scene,
    walk: Sequence[Pose],
    height: int,
    width: int,
    *,
    camera: Tensor | None = None,
    supersampling: int = 2,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> RenderedScene:
    """Render all frames of a camera walk.

    Depth, labels and instances come from the ray through the pixel centre and do not depend on ``supersampling``.

    Args:
        scene: the scene.
        walk: camera poses.
        height: rows.
        width: columns.
        camera: (3, 3) K, any that ``grid`` takes; None takes NYUv2's.
        supersampling: colour samples along a pixel's edge.
        seed: of the sensor noise.
        device: where to compute; the result lies there.

    Raises:
        ValueError: if the camera is singular, or a pixel of the frame looks backwards.
    """
    device = torch.device(device)
    scene = scene.to(device)
    poses = [Pose(*(value.to(device) for value in view)) for view in walk]
    pixels, samples = (grid(height, width, edge, device, camera) for edge in (1, supersampling))
    with torch.inference_mode():
        frames = [_frame(scene, view, pixels, samples) for view in poses]
        radiance, depth, labels, instances, occlusion = (torch.stack(values) for values in zip(*frames, strict=True))
        return RenderedScene(_develop(radiance, seed), depth, labels, instances, occlusion, radiance)


def _frame(scene: Scene, view: Pose, pixels: Grid, samples: Grid) -> tuple[Tensor, ...]:
    """Linear RGB (H, W, 3), then depth, labels, instances and occlusion boundaries (H, W) of one frame."""
    directions = view.rotation @ pixels.rays
    depth, surface = nearest(scene, visible_bodies(scene, view, pixels), view.position, directions)
    hits = hit_geometry(scene, view.position, directions, depth, surface)
    bodies = scene.bodies
    flat = (scene.kind[surface.clamp_max(bodies - 1)] == Kind.BOX) | (surface >= bodies)
    values = (depth, surface.clamp_max(bodies), _tangent_planes(view, hits), flat, pixels.rays.mT)
    occlusion = occlusion_boundaries(*(pixels.image(value) for value in values))
    face = pixels.image(hits.face)
    colour = _radiance(scene, view, samples, _irradiance(scene, hits, surface, pixels, face), face)
    depth, surface = pixels.image(depth), pixels.image(surface)
    return colour, depth, scene.label[surface], scene.instance[surface], occlusion


def _irradiance(scene: Scene, hits: Hits, surface: Tensor, pixels: Grid, face: Tensor) -> Tensor:
    """(H, W, 3) light at the pixel centres.

    Interleaved sampling (Keller and Heidrich, EGRW 2001): the nine pixels of a block look at nine points of a light,
    and the mean over a 3 x 3 window on the same face gives every pixel all nine. Soft shadows for one ray a pixel.
    """
    light = illuminate(scene, hits, surface, pixels.phase)
    total = pixels.image(light.ambient.mT)
    direct, visible = pixels.image(light.direct.permute(0, 3, 1, 2)), pixels.image(light.visible.mT)
    if not len(scene.lights):
        return total
    same = torch.stack([_shifted(face, dy, dx, -1) == face for dy, dx in WINDOW])
    around = torch.stack([_shifted(visible, dy, dx, 0) for dy, dx in WINDOW])
    soft = (around * same[..., None]).sum(dim=0) / same.sum(dim=0)[..., None]
    return total + (direct * soft[..., None]).sum(dim=2)


def _shifted(image: Tensor, dy: int, dx: int, fill: int) -> Tensor:
    """(H, W, ...) image whose value at (y, x) is that of (y + dy, x + dx); ``fill`` beyond the edge."""
    moved = image.roll((-dy, -dx), (0, 1))
    if dy:
        moved[-1 if dy > 0 else 0] = fill
    if dx:
        moved[:, -1 if dx > 0 else 0] = fill
    return moved


def _radiance(scene: Scene, view: Pose, samples: Grid, irradiance: Tensor, face: Tensor) -> Tensor:
    """(H, W, 3) linear RGB: texture of every sample under the light of the nearest pixel on the sample's own face."""
    directions = view.rotation @ samples.rays
    t, surface = nearest(scene, visible_bodies(scene, view, samples), view.position, directions)
    step = (samples.rays[0, :, 1] - samples.rays[0, :, 0]).abs().max().item()
    tiles = max(1, SAMPLES_AT_ONCE.get(directions.device.type, SAMPLES_AT_ONCE["cpu"]) // directions.shape[2])
    parts = zip(*(value.split(tiles) for value in (directions, t, surface)), strict=True)
    colour, own = (
        torch.cat(values)
        for values in zip(*(_texture(scene, view, rays, far, ids, step) for rays, far, ids in parts), strict=True)
    )
    colour, own = samples.image(colour.mT), samples.image(own)
    pixel = torch.arange(face.numel(), device=face.device).view(face.shape)
    edge = samples.samples
    source = _enlarged(pixel, edge)
    for dy, dx in WINDOW[:0:-1]:
        source = torch.where(
            own == _enlarged(_shifted(face, dy, dx, -1), edge), _enlarged(_shifted(pixel, dy, dx, 0), edge), source
        )
    source = torch.where(own == _enlarged(face, edge), _enlarged(pixel, edge), source)
    light = irradiance.flatten(0, 1)[source] + scene.emission[samples.image(surface)][..., None]
    return avg_pool2d((colour * light).permute(2, 0, 1), edge).permute(1, 2, 0)


def _enlarged(image: Tensor, factor: int) -> Tensor:
    return image.repeat_interleave(factor, dim=0).repeat_interleave(factor, dim=1)


def _texture(
    scene: Scene, view: Pose, directions: Tensor, t: Tensor, surface: Tensor, step: float
) -> tuple[Tensor, Tensor]:
    """Albedo (N, 3, R) and face (N, R) of samples that are ``step`` apart at z = 1."""
    hits = hit_geometry(scene, view.position, directions, t, surface)
    slant = (hits.normals * directions).sum(dim=1).abs() / length(directions)
    footprint = step * t / slant.clamp_min(0.15)
    local = hits.local.transpose(0, 1).flatten(1)
    colour = albedo(scene, surface.flatten(), local, hits.axis.flatten(), footprint.flatten())
    return colour.unflatten(1, surface.shape).transpose(0, 1), hits.face


def _tangent_planes(view: Pose, hits: Hits) -> Tensor:
    """(N, R, 3) m with m . (x, y, 1) = 1 / z: the plane n . p = c in the camera frame, m = n / c."""
    level = (hits.normals * (hits.points - view.position[:, None])).sum(dim=1)
    return (view.rotation.T @ hits.normals).mT / level[..., None]


def _develop(radiance: Tensor, seed: int) -> Tensor:
    """Camera pipeline: one exposure for the walk, a shoulder for highlights, gamma and sensor noise; uint8."""
    luminance = radiance.mean(dim=-1).clamp_min(1e-4)
    exposure = 0.34 / luminance.log().mean().exp()
    x = radiance * exposure
    x = x * (1 + x / 9) / (1 + x * 0.75)
    x = x.clamp(0, 1) ** (1 / 2.2)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(x.device)
    return ((x + SENSOR_NOISE * noise).clamp(0, 1) * 255).round().to(torch.uint8)
