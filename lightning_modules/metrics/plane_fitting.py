"""Planes through points: what the flatness of a predicted surface and its orientation are measured with."""

import torch
from torch import Tensor


def fit_plane(points: Tensor) -> tuple[Tensor, Tensor]:
    """Return the plane through points by total least squares.

    Args:
        points: (N, 3) float64.

    Returns:
        Standard deviation of the points' distances to the plane, and its normal (3,) of length 1.
    """
    centred = points - points.mean(0)
    _, axes = torch.linalg.eigh(centred.T @ centred)  # ascending; much faster than a decomposition of all points
    normal = axes[:, 0]
    # The eigenvalue is a difference of large numbers; the distances themselves keep their digits.
    return (centred @ normal).square().mean().sqrt(), normal


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """Return degrees, 0 to 90, between two directions (3,) of any length and sign."""
    # Of the arc cosine half the digits are lost at small angles.
    return torch.atan2(torch.linalg.cross(first, second).norm(), first.dot(second).abs()).rad2deg()


def span_a_plane(pixels: Tensor) -> bool:
    """Return whether (N, 2) pixels are not all on one line: then, at any positive depths, their points are not."""
    offsets = (pixels - pixels[:1]).double()
    return bool(torch.linalg.matrix_rank(offsets.T @ offsets) == 2)
