"""HyperSim's cameras: a film of 60 degrees, in most scenes shifted and tilted behind the lens.

Roberts, Ramapuram, Ranjan, Kumar, Bautista, Paczan, Webb, Susskind, "Hypersim", ICCV 2021. The matrix
``M_cam_from_uv`` of the published camera table takes (u, v, 1), both in -1..1 from the lower left to the upper right
corner of the frame, to a ray in a frame with x right, y up and z backward.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.rooms.bodies import Scene
from datamodules.rooms.camera import Pose
from datamodules.rooms.renderer import RenderedScene, render_scene

#: Width of the film at focal length 1: a field of view of 60 degrees.
FILM_WIDTH = 2 * np.tan(np.pi / 6)

#: Least and greatest shift of the film along its edges, in film widths, and its tilt, radians.
SHIFT, TILT = (0.04, 0.1), (0.02, 0.08)

#: From axes x right, y down, z forward to x right, y up, z backward, or back.
FLIP = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class FilmedScene:
    """A scene rendered with a camera of its own.

    Attributes:
        images: the frames.
        walk: pose of each.
        camera: (3, 3) float64, K with pixel ~ K (x, y, z), pixel centres at integers, x right, y down, z forward.
    """

    images: RenderedScene
    walk: Sequence[Pose]
    camera: NDArray[np.float64]


def film_scene(
    scene: Scene,
    walk: Sequence[Pose],
    number: int,
    height: int,
    width: int,
    *,
    supersampling: int = 2,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> FilmedScene:
    """Render a camera walk for ``write_hypersim``.

    Args:
        scene: the scene.
        walk: camera poses.
        number: of the scene, 0-based; determines the camera with ``seed``.
        height: rows.
        width: columns.
        supersampling: colour samples along a pixel's edge.
        seed: of the camera and the sensor noise.
        device: where to compute.
    """
    camera = film_camera(number, height, width, seed)
    images = render_scene(
        scene,
        walk,
        height,
        width,
        camera=torch.from_numpy(camera),
        supersampling=supersampling,
        seed=seed,
        device=device,
    )
    return FilmedScene(images, walk, camera)


def film_camera(number: int, height: int, width: int, seed: int = 0) -> NDArray[np.float64]:
    """Return K (3, 3) of a scene: HyperSim's default camera for scene 0, else one of a shifted and tilted film.

    The film lies in front of the lens, upright. A tilted one is not parallel to z = 1, so that K is not triangular.
    """
    rng = np.random.default_rng([seed, number])
    across, along, tilt = (rng.uniform(*limits) * rng.choice([-1, 1]) for limits in (SHIFT, SHIFT, TILT))
    if number == 0:
        across = along = tilt = 0.0
    right, down = np.array([1, 0, 0]), np.array([0, np.cos(tilt), np.sin(tilt)])
    middle = np.array([0, 0, 1]) + FILM_WIDTH * (across * right + along * down)
    pitch = FILM_WIDTH / width
    first = middle - pitch * ((width - 1) / 2 * right + (height - 1) / 2 * down)  # the pixel (0, 0)
    camera: NDArray[np.float64] = np.linalg.inv(np.stack([pitch * right, pitch * down, first], axis=1))
    return camera


def camera_matrix_to_uv(camera: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Return ``M_cam_from_uv`` (3, 3) of a camera K (3, 3) for frames of ``height`` x ``width``."""
    pixel_from_uv = np.array([[width / 2, 0, (width - 1) / 2], [0, -height / 2, (height - 1) / 2], [0, 0, 1]])
    matrix: NDArray[np.float64] = FLIP @ np.linalg.inv(camera) @ pixel_from_uv
    return matrix


def euclidean(depth: NDArray[np.float32], camera: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return distances (F, H, W) to the optical centre from planar depth (F, H, W), both in metres."""
    rows, columns = np.indices(depth.shape[1:])
    rays = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(camera).T
    distance: NDArray[np.float64] = depth * (np.linalg.norm(rays, axis=-1) / rays[..., 2])
    return distance
