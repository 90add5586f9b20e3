"""The pinhole camera: poses, and the pixels of a frame gathered in tiles of neighbours."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.nyuv2.labeled_format import intrinsics
from datamodules.rooms.bodies import Scene

#: Edge of a tile, pixels.
TILE = 8

#: Bodies nearer than this plane, metres, are candidates everywhere: their corners do not project.
NEAR = 0.05


class Pose(NamedTuple):
    """A camera pose.

    Attributes:
        position: (3,) world, metres.
        rotation: (3, 3) camera to world; columns: right, down, forward.
        angles: (3,) yaw, pitch (positive upwards), roll, radians.
    """

    position: Tensor
    rotation: Tensor
    angles: Tensor


def pose(position: Tensor, yaw: Tensor, pitch: Tensor, roll: Tensor) -> Pose:
    """Return the pose from angles; yaw 0 looks along world y and grows to the left."""
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    cy, sy, cp, sp, cr, sr = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin(), roll.cos(), roll.sin()
    forward = torch.stack([-sy * cp, cy * cp, sp])
    level = torch.stack([cy, sy, zero])
    down = torch.linalg.cross(forward, level)
    turn = torch.stack([torch.stack([cr, -sr, zero]), torch.stack([sr, cr, zero]), torch.stack([zero, zero, one])])
    rotation = torch.stack([level, down, forward], dim=1) @ turn
    return Pose(position, rotation, torch.stack([yaw, pitch, roll]))


@dataclass(frozen=True)
class Grid:
    """Sample positions of a frame, in tiles.

    Attributes:
        height: rows of pixels.
        width: columns of pixels.
        samples: samples a pixel edge: 1 = the pixel centre, 2 = a 2 x 2 pattern around it.
        rays: (N, 3, R) directions in the camera frame with z = 1: t along them is planar depth.
        bounds: (N, 4) left, top, right, bottom of a tile at z = 1.
        phase: (N, R) number 0..8 of a sample in its 3 x 3 block of samples.
    """

    height: int
    width: int
    samples: int
    rays: Tensor
    bounds: Tensor
    phase: Tensor

    def image(self, tiles: Tensor) -> Tensor:
        """Return (N, R, ...) values of tiles as (height * samples, width * samples, ...), the padding cut off."""
        edge = TILE * self.samples
        rows, columns = -(-self.height // TILE), -(-self.width // TILE)
        grid = tiles.unflatten(1, (edge, edge)).unflatten(0, (rows, columns)).transpose(1, 2)
        return grid.flatten(2, 3).flatten(0, 1)[: self.height * self.samples, : self.width * self.samples]


def grid(height: int, width: int, samples: int, device: torch.device, camera: Tensor | None = None) -> Grid:
    """Return tiles of a frame.

    Args:
        height: rows.
        width: columns.
        samples: samples a pixel edge.
        device: where the tiles lie.
        camera: (3, 3) K with pixel ~ K (x, y, z), pixel centres at integers, x right, y down, z forward. It need not be
            upper triangular: the film of a tilt-shift camera is not parallel to the plane z = 1. None takes NYUv2's
            camera scaled to ``height`` x ``width``.

    Raises:
        ValueError: if the camera is singular, or a pixel of the frame looks backwards.
    """
    matrix = torch.from_numpy(intrinsics(height, width)) if camera is None else camera
    return _grid(height, width, samples, device, tuple(matrix.double().flatten().tolist()))


@lru_cache(maxsize=4)
def _grid(height: int, width: int, samples: int, device: torch.device, camera: tuple[float, ...]) -> Grid:
    edge = TILE * samples

    def axis(size: int) -> tuple[Tensor, Tensor]:
        number = torch.arange(-(-size // TILE) * edge).view(-1, edge)
        return (number + 0.5) / samples - 0.5, number % 3

    (y, y_phase), (x, x_phase) = axis(height), axis(width)
    shape = (len(y), len(x), edge, edge)
    xs, ys = x[None, :, None, :].expand(shape), y[:, None, :, None].expand(shape)
    pixels = torch.stack([xs, ys, torch.ones_like(xs)], dim=2).flatten(3).flatten(0, 1).double()
    rays = _back_project(pixels, torch.tensor(camera, dtype=torch.float64).view(3, 3))
    bounds = torch.cat([rays[:, :2].amin(dim=2), rays[:, :2].amax(dim=2)], dim=1)
    phase = (3 * y_phase[:, None, :, None] + x_phase[None, :, None, :]).flatten(2).flatten(0, 1)
    return Grid(height, width, samples, rays.float().to(device), bounds.float().to(device), phase.to(device))


def _back_project(pixels: Tensor, camera: Tensor) -> Tensor:
    """(N, 3, R) rays K^-1 (x, y, 1) of pixels, scaled to z = 1."""
    solution, singular = torch.linalg.solve_ex(camera, pixels)
    if singular.any() or not (solution[:, 2] > 0).all():
        raise ValueError(
            f"camera {camera.tolist()}: singular, or a pixel looks backwards; K maps (x, y, z > 0) to pixels"
        )
    return solution / solution[:, 2:]


def visible_bodies(scene: Scene, view: Pose, tiles: Grid) -> Tensor:
    """Return (N, P) bodies whose bounding box may project into a tile."""
    bodies = scene.bodies
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3).to(scene.centre.device)
    corners = scene.centre[:bodies, None] + (signs * scene.half[:bodies, None]) @ scene.rotation[:bodies].mT
    camera = (corners - view.position) @ view.rotation  # (P, 8, 3)
    ahead = camera[..., 2] > NEAR
    flat = camera[..., :2] / camera[..., 2:].clamp_min(NEAR)
    low, high = flat.amin(dim=1), flat.amax(dim=1)
    left, top, right, bottom = tiles.bounds[:, :, None].unbind(1)
    inside = (low[:, 0] <= right) & (high[:, 0] >= left) & (low[:, 1] <= bottom) & (high[:, 1] >= top)
    return (inside & ahead.all(dim=1)) | (ahead.any(dim=1) & ~ahead.all(dim=1))
