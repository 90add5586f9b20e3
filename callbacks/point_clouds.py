"""A depth map as a coloured point cloud, for W&B's viewer and as a PLY file."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from callbacks.frame_view import FrameView
from lightning_modules.metrics.point_cloud import pixel_rays

#: Points that a cloud has at most.
MAX_POINTS = 20_000


def colored_cloud(view: FrameView, intrinsics: torch.Tensor, points: int = MAX_POINTS) -> NDArray[np.float32]:
    """Predicted points of the evaluated pixels, on a regular grid of pixels, coarse enough for ``points``.

    Args:
        view: the frame.
        intrinsics: (3, 3) camera matrix of the truth's grid.
        points: at most so many.

    Returns:
        (N, 6), N = 0 where no depth is predicted: x to the right, y upwards and z towards the camera, metres to the
        millimetre, then red, green and blue, 0 to 255.
    """
    if view.predicted is None:
        return np.empty((0, 6), dtype=np.float32)
    height, width = view.truth.shape
    stride = int(np.ceil(np.sqrt(height * width / points)))
    while -(-height // stride) * -(-width // stride) > points:  # what is left of rows and columns rounds up
        stride += 1
    rows, columns = np.mgrid[:height:stride, :width:stride].reshape(2, -1)
    depth = view.predicted[rows, columns]
    kept = view.evaluated[rows, columns] & np.isfinite(depth)
    rows, columns, depth = rows[kept], columns[kept], depth[kept]
    rays = pixel_rays(torch.from_numpy(columns), torch.from_numpy(rows), intrinsics.cpu().double()).numpy()
    positions = (rays * depth[:, None]).round(3) * (1, -1, -1)  # viewers look along -z, y up
    return np.concatenate([positions, view.native_image[rows, columns]], axis=1).astype(np.float32)


def write_ply(path: Path, cloud: NDArray[np.float32]) -> None:
    """Write a cloud (N, 6), as :func:`colored_cloud` makes it, as a binary PLY file."""
    names = ("x", "y", "z", "red", "green", "blue")
    vertices = np.empty(len(cloud), dtype=[(name, "<f4" if name in "xyz" else "u1") for name in names])
    for name, column in zip(names, cloud.T, strict=True):
        vertices[name] = column
    properties = "".join(f"property {'float' if name in 'xyz' else 'uchar'} {name}\n" for name in names)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(cloud)}\n{properties}end_header\n"
    path.write_bytes(header.encode() + vertices.tobytes())
