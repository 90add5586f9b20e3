"""Depth in metres from features: the parametrisations of depth, and the head of all DPT-like methods."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.networks.resizing import resize_bilinear

DepthParametrisation = Literal["sigmoid_max", "softplus", "exp", "inverse_affine"]

#: Scale and shift of the released DPT-Hybrid-NYU weights: depth = 1 / (scale * x + shift), never above 7.26 m.
INVERSE_SCALE, INVERSE_SHIFT = 0.000305, 0.1378


def to_depth(x: Tensor, parametrisation: DepthParametrisation, max_depth: float | Tensor) -> Tensor:
    """Map an unbounded output to metric depth, in float32.

    Args:
        x: any shape.
        parametrisation: ``sigmoid_max``: sigmoid(x) * max_depth (Depth Anything v2, metric); ``softplus``; ``exp``;
            ``inverse_affine``: 1 / (0.000305 relu(x) + 0.1378), the released DPT-Hybrid-NYU.
        max_depth: metres, a number or a scalar; only ``sigmoid_max`` is bounded by it.

    Returns:
        Depth in metres, of the shape of ``x``.

    Raises:
        ValueError: for an unknown parametrisation.
    """
    x = x.float()
    match parametrisation:
        case "sigmoid_max":
            return max_depth * x.sigmoid()
        case "softplus":
            return F.softplus(x)
        case "exp":
            return x.exp()
        case "inverse_affine":
            return 1 / (INVERSE_SCALE * F.relu(x) + INVERSE_SHIFT)
    raise ValueError(f"unknown `depth_param` {parametrisation!r}: sigmoid_max, softplus, exp or inverse_affine")


class DepthHead(nn.Module):
    """Head of DPT: conv3x3, x2 bilinear, conv3x3, relu, conv1x1, metres (DPT, supplement, "Monocular depth").

    Args:
        width: channels of the fused map.
        max_depth: metres, upper bound of ``sigmoid_max``.
        parametrisation: how the last convolution's output becomes metres, see :func:`to_depth`.
    """

    max_depth: Tensor

    def __init__(self, width: int, *, max_depth: float = 10.0, parametrisation: DepthParametrisation = "sigmoid_max"):
        super().__init__()
        # A buffer: a checkpoint keeps the range that it was trained with, whatever data it is tested on.
        self.register_buffer("max_depth", torch.tensor(float(max_depth)))
        self.parametrisation: DepthParametrisation = parametrisation
        self.conv1 = nn.Conv2d(width, width // 2, 3, padding=1)
        self.conv2 = nn.Conv2d(width // 2, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 1, 1)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Return depth (B, 1, *size) in metres from a fused map (B, width, h, w), usually of half that size."""
        x = resize_bilinear(self.conv1(x), size)
        return to_depth(self.conv3(F.relu(self.conv2(x))), self.parametrisation, self.max_depth)
