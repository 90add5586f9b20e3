"""Which way is up in a room, from the shape of what is seen."""

import numpy as np
from numpy.typing import NDArray

#: Degrees that a normal may be off the direction sought or off its plane, at first and then.
ANGLES = (45.0,) * 5 + (15.0,) * 5

#: Neighbours whose depths differ by more than this share lie on different surfaces.
JUMP = 0.1


def up_direction(points: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Unit vector that floors and ceilings are normal to and walls are parallel to (Gupta et al., CVPR 2013, sec. 2.1).

    Beginning with the camera's own upward axis, it is the direction to which the normals within an angle are as
    parallel, and those within the angle of its plane as perpendicular, as can be; the angle is 45 degrees for five
    rounds and 15 for five more.

    Args:
        points: (h, w, 3) on a grid of pixels, metres; x to the right, y upwards, z towards the camera.
        valid: (h, w) where there is a point.
    """
    up = np.array([0.0, 1.0, 0.0])
    normals = surface_normals(points, valid)
    for angle in np.deg2rad(ANGLES):
        cosines = np.abs(normals @ up)
        floors, walls = normals[cosines > np.cos(angle)], normals[cosines < np.sin(angle)]
        if not len(floors) + len(walls):
            break
        _, vectors = np.linalg.eigh(walls.T @ walls - floors.T @ floors)
        up = vectors[:, 0] * np.sign(vectors[1, 0] or 1.0)  # of the smallest eigenvalue, upwards
    return up


def surface_normals(points: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Unit normals (N, 3), of either sign, of the points (h, w, 3) whose neighbours lie on the same surface."""
    across, down = points[:-1, 1:] - points[:-1, :-1], points[1:, :-1] - points[:-1, :-1]
    depth = np.abs(points[:-1, :-1, 2])
    whole = valid[:-1, :-1] & valid[:-1, 1:] & valid[1:, :-1]
    whole &= (np.abs(across[..., 2]) < JUMP * depth) & (np.abs(down[..., 2]) < JUMP * depth)
    normals = np.cross(across[whole], down[whole])
    length = np.linalg.norm(normals, axis=1)
    return np.asarray(normals[length > 0] / length[length > 0, None])
