"""Occlusion boundaries: where one surface ends in front of another."""

import torch
from torch import Tensor

#: Depth steps below this share of the depth are contact, not occlusion.
RELATIVE_GAP = 0.02


def occlusion_boundaries(depth: Tensor, body: Tensor, planes: Tensor, flat: Tensor, rays: Tensor) -> Tensor:
    """Return pixels on the near side of a depth discontinuity.

    Two 4-neighbours p (nearer) and q see a discontinuity when they see different bodies and neither surface continues
    into the other between them. A body is convex, hence its visible part has no step in itself. Two surfaces that
    touch, such as a table leg and the floor, or a cabinet and the wall, change order between the rays through p and q
    when each is continued by its tangent plane; an occluder stays in front at both:
    z_q continued to p lies behind z_p, and z_p continued to q lies in front of z_q, by more than 2 % of the depth.
    A round body ends at its outline, where its tangent plane says nothing; it is continued at constant depth.

    Args:
        depth: (H, W) planar depth, metres.
        body: (H, W) id of the convex body seen; the room itself is one id.
        planes: (H, W, 3) m with m . (x, y, 1) = 1 / z on the tangent plane, in the camera frame.
        flat: (H, W) whether the surface is plane.
        rays: (H, W, 3) (x, y, 1) of each pixel.

    Returns:
        (H, W) bool, one pixel wide.
    """
    boundary = torch.zeros_like(depth, dtype=torch.bool)
    for axis in (0, 1):
        size = depth.shape[axis] - 1
        first = [value.narrow(axis, 0, size) for value in (depth, body, planes, flat, rays)]
        second = [value.narrow(axis, 1, size) for value in (depth, body, planes, flat, rays)]
        ahead = _in_front(first, second)
        behind = _in_front(second, first)
        boundary.narrow(axis, 0, size).logical_or_(ahead)
        boundary.narrow(axis, 1, size).logical_or_(behind)
    return boundary


def _in_front(near: list[Tensor], far: list[Tensor]) -> Tensor:
    """Whether the surface seen by pixels ``near`` ends in front of that seen by their neighbours ``far``."""
    near_depth, near_body, near_plane, near_flat, near_ray = near
    far_depth, far_body, far_plane, far_flat, far_ray = far
    gap = 1 + RELATIVE_GAP
    far_inverse = torch.where(far_flat, (far_plane * near_ray).sum(dim=-1), 1 / far_depth)
    near_inverse = torch.where(near_flat, (near_plane * far_ray).sum(dim=-1), 1 / near_depth)
    # Inverse depths are linear in the image and stay finite on grazing planes.
    return (near_body != far_body) & (far_inverse * gap < 1 / near_depth) & (near_inverse > gap / far_depth)
