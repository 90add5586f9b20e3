"""Planes in a depth map that has no noise: walls, floors and table tops, as iBims-1 marks them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: A point belongs to a plane that is nearer than this, metres.
TOLERANCE = 0.005

#: Planes of fewer pixels, as a share of the frame, are not marked.
LEAST_SHARE = 0.01

#: Pixels whose tangent planes are tried for the next plane.
CANDIDATES = 64


class Planes(NamedTuple):
    """Planes of a frame.

    Attributes:
        ids: (H, W) uint8, 0 = none, else 1..k.
        parameters: (k, 4) a, b, c, d with a x + b y + c z + d = 0, (a, b, c) of length 1 and towards the camera.
    """

    ids: NDArray[np.uint8]
    parameters: NDArray[np.float64]


def tangents(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit normals (H, W, 3) of the surface through a pixel's neighbours; of no meaning at a discontinuity."""
    normals = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    unit: NDArray[np.float64] = normals / np.linalg.norm(normals, axis=-1, keepdims=True).clip(1e-12)
    return unit


def find_planes(points: NDArray[np.float64], mask: NDArray[np.bool_]) -> Planes:
    """Return planes of the masked points, fitted by least squares: the largest is taken until none is large enough.

    Args:
        points: (H, W, 3) in the camera frame, metres.
        mask: (H, W) where to look.
    """
    ids, found, normals = np.zeros(mask.shape, dtype=np.uint8), [], tangents(points)
    left = mask.copy()
    while left.sum() >= LEAST_SHARE * mask.size:
        plane = _fit(points[left & _near(points, _best_tangent(points, normals, left))])
        inside = left & _near(points, plane)
        if inside.sum() < LEAST_SHARE * mask.size:
            break
        found.append(plane)
        ids[inside] = len(found)
        left &= ~inside
    return Planes(ids, np.array(found).reshape(-1, 4))


def _best_tangent(
    points: NDArray[np.float64], normals: NDArray[np.float64], left: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(4,) the candidate's tangent plane on which most of the points lie."""
    cloud, directions = points[left], normals[left]
    chosen = np.unique(np.linspace(0, len(cloud) - 1, CANDIDATES).round().astype(int))
    levels = (directions[chosen] * cloud[chosen]).sum(axis=1)
    support = (np.abs(cloud @ directions[chosen].T - levels) < TOLERANCE).sum(axis=0)
    best = support.argmax()
    return np.append(directions[chosen[best]], -levels[best])


def _near(points: NDArray[np.float64], plane: NDArray[np.float64]) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = np.abs(points @ plane[:3] + plane[3]) < TOLERANCE
    return near


def _fit(cloud: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4,) least-squares plane through points (N, 3): normal to their directions of greatest spread."""
    centre = cloud.mean(axis=0)
    normal = np.linalg.svd(cloud - centre, full_matrices=False)[2][2]
    plane = np.append(normal, -normal @ centre)
    return plane if plane[3] > 0 else -plane
