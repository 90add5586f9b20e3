"""Camera walks: a few steps through the free space of a room, looking at its furniture."""

import math

import numpy as np
import torch
from torch import Tensor

from datamodules.rooms.bodies import Scene
from datamodules.rooms.camera import Pose, grid, pose, visible_bodies
from datamodules.rooms.raycast import nearest

#: Least distance of the camera to any surface, metres. A surface at the image corner then has z > 0.35 m.
CLEARANCE = 0.48

#: Least distance of the walker's body, taken at hip height, to any furniture, metres.
HIP_CLEARANCE, HIP_HEIGHT = 0.15, 0.6

#: Walks drawn, and those of them that are looked at before one is chosen.
DRAWN, PROBED = 240, 14

#: Median depth below which a view counts as too near, metres; drawn per walk, so that close and wide views occur.
NEAREST_VIEW = (1.0, 2.8)

#: Size of the pictures by which walks are compared.
PROBE_HEIGHT, PROBE_WIDTH = 18, 24


def camera_walk(scene: Scene, frames: int, seed: int, index: int) -> list[Pose]:
    """Return the best of many random walks: inside free space and with much to see in every frame.

    Args:
        scene: the scene.
        frames: number of poses.
        seed: of the data set.
        index: of the scene in it.

    Raises:
        RuntimeError: if the room has no free space for a camera.
    """
    rng = np.random.default_rng([seed, index, 1])
    near = rng.uniform(*NEAREST_VIEW)
    best, best_score, probed = None, -math.inf, 0
    for _ in range(DRAWN):
        walk = _draw(rng, scene, frames)
        if not _is_clear(scene, walk):
            continue
        score = min(_interest(scene, walk[k], near) for k in {0, frames // 2, frames - 1})
        if score > best_score:
            best, best_score = walk, score
        probed += 1
        if probed == PROBED:
            break
    if best is None:
        raise RuntimeError(f"scene {index} of seed {seed} has no free space for a camera walk of {frames} frames")
    return best


def _draw(rng: np.random.Generator, scene: Scene, frames: int) -> list[Pose]:
    """A smooth path of steps of 10 to 22 cm; gaze, height and roll sway slowly."""
    half = scene.half[-1].numpy()
    start = rng.uniform(-(half[:2] - 0.5), half[:2] - 0.5)
    target = rng.uniform(-0.45, 0.45, size=2) * half[:2]
    heading = math.atan2(-(target - start)[0], (target - start)[1])
    course, bend = rng.uniform(0, 2 * math.pi), rng.uniform(-0.25, 0.25)
    step = rng.uniform(0.10, 0.22) * min(1.0, 5 / max(1, frames - 1))
    turn = rng.uniform(-0.16, 0.16) * min(1.0, 5 / max(1, frames - 1))
    eye, pitch, roll = rng.uniform(1.05, 1.65), rng.uniform(-0.34, -0.08), rng.normal(0, 0.02)
    phase = rng.uniform(0, 2 * math.pi, size=3)
    k = np.arange(frames) - (frames - 1) / 2
    course_at = course + bend * k
    steps = step * np.stack([np.cos(course_at), np.sin(course_at)], axis=1)
    xy = start + np.cumsum(steps, axis=0) - steps[0]
    sway = np.sin(phase[:, None] + 0.7 * k)
    positions = torch.from_numpy(np.column_stack([xy, eye + 0.02 * sway[0]])).float()
    angles = np.stack([heading + turn * k, pitch + 0.03 * sway[1], roll + 0.01 * sway[2]], axis=1)
    return [pose(position, *angle) for position, angle in zip(positions, torch.from_numpy(angles).float(), strict=True)]


def _is_clear(scene: Scene, walk: list[Pose]) -> bool:
    eyes = torch.stack([view.position for view in walk])
    hips = eyes * torch.tensor([1.0, 1.0, 0.0]) + torch.tensor([0.0, 0.0, HIP_HEIGHT])
    to_walls = scene.half[-1] - (eyes - scene.centre[-1]).abs()
    return bool(
        to_walls.min() >= CLEARANCE
        and _distance(scene, eyes).min() >= CLEARANCE
        and _distance(scene, hips).min() >= HIP_CLEARANCE
    )


def _distance(scene: Scene, points: Tensor) -> Tensor:
    """(K, P) distances of points (K, 3) to the boxes around the bodies."""
    bodies = scene.bodies
    offset = points[:, None] - scene.centre[:bodies]
    local = (offset[..., None, :] @ scene.rotation[:bodies])[..., 0, :]
    return (local.abs() - scene.half[:bodies]).clamp_min(0).norm(dim=-1)


def _interest(scene: Scene, view: Pose, near: float) -> float:
    """How much a view shows: its objects, less for what is nearer than ``near`` metres and for plain walls."""
    pixels = grid(PROBE_HEIGHT, PROBE_WIDTH, 1, torch.device("cpu"))
    depth, surface = nearest(scene, visible_bodies(scene, view, pixels), view.position, view.rotation @ pixels.rays)
    objects = scene.label[surface] * 256 + scene.instance[surface]
    counts = objects.unique(return_counts=True)[1]
    share = counts / counts.sum()
    seen = float((share > 0.01).sum())
    return seen - 12 * max(0.0, near - depth.median().item()) - 25 * max(0.0, share.max().item() - 0.38)
