"""Which way is up in a room, from the shape of what is seen."""

import numpy as np
from numpy.typing import NDArray

#: Degrees that a normal may be off the vertical or off the plane normal to it, in each round.
ANGLES = (45.0,) * 5 + (15.0,) * 5

#: Neighbours whose depths differ by more than this share are taken to lie on different surfaces.
JUMP = 0.1


def up_direction(points: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the vertical of a room, to which floors are normal and walls are parallel (Gupta et al., CVPR 2013, 2.1).

    The estimate begins with the camera's upward axis. Each round takes the normals within an angle of the estimate as
    those of floors and ceilings, and normals within that angle of the plane normal to it as those of walls; the new
    estimate is the direction that is most parallel to the former and most perpendicular to the latter. The angle is 45
    degrees for five rounds and 15 for five more.

    Args:
        points: (h, w, 3) on a grid of pixels, metres; x to the right, y upwards, z towards the camera.
        valid: (h, w) bool, where there is a point.

    Returns:
        (3,) unit vector.
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
    """Return unit normals (N, 3), of either sign, of points (h, w, 3) whose neighbours lie on the same surface."""
    across, down = points[:-1, 1:] - points[:-1, :-1], points[1:, :-1] - points[:-1, :-1]
    depth = np.abs(points[:-1, :-1, 2])
    whole = valid[:-1, :-1] & valid[:-1, 1:] & valid[1:, :-1]
    whole &= (np.abs(across[..., 2]) < JUMP * depth) & (np.abs(down[..., 2]) < JUMP * depth)
    normals = np.cross(across[whole], down[whole])
    length = np.linalg.norm(normals, axis=1)
    return np.asarray(normals[length > 0] / length[length > 0, None])
