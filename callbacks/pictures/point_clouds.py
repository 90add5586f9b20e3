"""A depth map as a coloured point cloud, for W&B's viewer and as a PLY file."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from callbacks.pictures.colors import Picture
from callbacks.pictures.frame_view import FrameView
from callbacks.records.optional_files import FIX
from datamodules.files import written_atomically
from lightning_modules.metrics.point_cloud import pixel_rays

#: Points that a cloud has at most.
MAX_POINTS = 20_000


def colored_cloud(
    view: FrameView,
    intrinsics: torch.Tensor,
    points: int = MAX_POINTS,
    *,
    depth: NDArray[np.float64] | None = None,
    colors: Picture | None = None,
) -> NDArray[np.float32]:
    """Return the points of evaluated pixels on a regular grid of pixels, as fine as ``points`` allows.

    Args:
        view: the frame.
        intrinsics: (3, 3) camera matrix of the truth's grid.
        points: how many the cloud has at most.
        depth: (H, W) metres, on the truth's grid; the prediction by default.
        colors: (H, W, 3), on the truth's grid; the image by default.

    Returns:
        (N, 6), N = 0 where no depth is predicted: x to the right, y upwards and z towards the camera, metres to the
        millimetre, then red, green and blue, 0 to 255.
    """
    depth = view.predicted if depth is None else depth
    if depth is None:
        return np.empty((0, 6), dtype=np.float32)
    stride = grid_stride(depth.shape, points)
    rows, columns = np.mgrid[: depth.shape[0] : stride, : depth.shape[1] : stride].reshape(2, -1)
    kept = view.evaluated[rows, columns] & np.isfinite(depth[rows, columns])
    rows, columns = rows[kept], columns[kept]
    positions = back_project(rows, columns, depth[rows, columns], intrinsics, view.radial).round(3)
    colors = view.native_image if colors is None else colors
    return np.concatenate([positions, colors[rows, columns]], axis=1).astype(np.float32)


def grid_stride(size: tuple[int, ...], points: int) -> int:
    """Return the stride of a grid over a map that takes at most some number of its pixels.

    Args:
        size: height and width of the map.
        points: pixels that the grid takes at most.
    """
    height, width = size
    stride = int(np.ceil(np.sqrt(height * width / points)))
    while -(-height // stride) * -(-width // stride) > points:  # what is left of rows and columns rounds up
        stride += 1
    return stride


def back_project(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    depth: NDArray[np.float64],
    intrinsics: torch.Tensor,
    radial: bool = False,
) -> NDArray[np.float64]:
    """Return the positions of N pixels, (N, 3) in metres, in the axes of viewers: x right, y up, z to the camera.

    Args:
        rows: (N,) rows of the pixels.
        columns: (N,) columns of the pixels.
        depth: (N,) depth of the pixels, metres.
        intrinsics: (3, 3) camera matrix.
        radial: depth is the distance to the camera instead of z.
    """
    pixels = torch.from_numpy(columns), torch.from_numpy(rows)
    rays = pixel_rays(*pixels, intrinsics.cpu().double(), radial=radial).numpy()
    return np.asarray(rays * depth[:, None] * (1, -1, -1))  # viewers look along -z


def ply_bytes(cloud: NDArray[np.float32]) -> bytes:
    """Return a cloud (N, 6), as :func:`colored_cloud` makes it, as the content of a binary PLY file."""
    names = ("x", "y", "z", "red", "green", "blue")
    vertices = np.empty(len(cloud), dtype=[(name, "<f4" if name in "xyz" else "u1") for name in names])
    for name, column in zip(names, cloud.T, strict=True):
        vertices[name] = column
    properties = "".join(f"property {'float' if name in 'xyz' else 'uchar'} {name}\n" for name in names)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(cloud)}\n{properties}end_header\n"
    return header.encode() + vertices.tobytes()


def write_ply(path: Path, cloud: NDArray[np.float32]) -> None:
    """Write a cloud (N, 6) as a binary PLY file.

    Raises:
        WriteError: if it cannot be written, naming it.
    """
    with written_atomically(path, FIX) as file:
        file.write(ply_bytes(cloud))
