"""Depth discontinuities by Sobel's filter, and how they correlate with semantic contours."""

from typing import Literal

import cv2
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.losses.reduction import masked_mean

#: Edge of the filter to its response to an ideal step of 1.
STEP_RESPONSE = {3: 4.0, 5: 48.0}

#: Strengths of edges are kept this far from 0 and 1, where the logarithm ends.
MARGIN = 1e-4


class SobelCorrelationLoss(nn.Module):
    r"""Depth edges where semantic contours are, and nowhere else: Semantic-MD, equation 10.

    With contours c and S the strength of the predicted depth's edges, the mean over the pixels that are counted of
    :math:`-c \log S - (1 - c) \log(1 - S)`. The equation as printed has no minus, so that it would be maximised, and S
    unbounded. S here, of the filter's responses g along the two axes to depth normalised to [0, 1]:

    * ``soft``: :math:`1 - \exp(-|g| / t)`, differentiable, in (0, 1).
    * ``detached``: 1 where either response exceeds t, else 0, as in the authors' code: without a gradient, so that it
      adds a number to the loss and teaches nothing.

    Args:
        mode: ``soft`` or ``detached``.
        threshold: t; a step of depth from one pixel to the next answers with 48 times its height, 4 times with 3x3. The
            authors have 20 with 5x5, a step of 0.42, 6.3 m of 15; the default is one of 0.3 m.
        size: edge of the filter, 3 or 5: Sobel's own operator is 3x3, the authors' code has 5x5.

    Raises:
        ValueError: if ``mode`` or ``size`` is unknown or ``threshold`` not positive.
    """

    def __init__(self, mode: Literal["soft", "detached"] = "soft", threshold: float = 0.96, size: int = 5):
        super().__init__()
        if mode not in ("soft", "detached"):
            raise ValueError(f"`mode` must be soft or detached, got {mode!r}")
        if not threshold > 0:
            raise ValueError(f"`threshold` must be positive, got {threshold}")
        if size not in STEP_RESPONSE:
            raise ValueError(f"`size` must be 3 or 5, got {size}")
        self.mode, self.threshold, self.size = mode, threshold, size

    def forward(self, depth: Tensor, contours: Tensor, valid: Tensor | None = None) -> Tensor:
        """Compute the loss, a scalar in float32 at least; 0 if no pixel is counted.

        Args:
            depth: (B, 1, H, W) predicted, in [0, 1].
            contours: (B, 1, H, W) in {0, 1}.
            valid: (B, 1, H, W) bool; pixels at which the filter sees an invalid one are not counted.

        Raises:
            ValueError: if the shapes differ.
        """
        if depth.shape != contours.shape or depth.ndim != 4:
            raise ValueError(f"need two (B, 1, H, W), got {tuple(depth.shape)} and {tuple(contours.shape)}")
        strength, weakness = (share.clamp(MARGIN, 1 - MARGIN) for share in self._shares(depth))
        # written out: torch's own refuses to run under autocast
        losses = -torch.where(contours > 0.5, strength.log(), weakness.log())
        return masked_mean(losses, torch.ones_like(losses) if valid is None else sees_valid(valid, self.size))

    def strength(self, depth: Tensor) -> Tensor:
        """Return S (B, 1, H, W) in [0, 1], the strength of edges of a depth (B, 1, H, W) in [0, 1]."""
        return self._shares(depth)[0]

    def _shares(self, depth: Tensor) -> tuple[Tensor, Tensor]:
        """Return S and 1 - S, both (B, 1, H, W), each computed by itself: near 1 a difference would lose its digits."""
        if self.mode == "detached":
            edges = depth_edges(depth.detach(), self.threshold, size=self.size)
            dtype = torch.promote_types(depth.dtype, torch.float32)
            return edges.to(dtype), (~edges).to(dtype)
        magnitude = sobel(depth, self.size).square().sum(1, keepdim=True)
        exponent = -(magnitude + 1e-12).sqrt() / self.threshold  # the root has no slope at 0
        return -torch.expm1(exponent), exponent.exp()


def sobel(depth: Tensor, size: int = 5) -> Tensor:
    """Return the Sobel filter's responses (B, 2, H, W) along rows and columns, with the border reflected.

    Args:
        depth: (B, 1, H, W).
        size: edge of the filter, 3 or 5.
    """
    depth = depth.to(torch.promote_types(depth.dtype, torch.float32))
    kernels = [cv2.getDerivKernels(*orders, size) for orders in ((1, 0), (0, 1))]
    filters = torch.stack([torch.from_numpy(column @ row.T) for row, column in kernels]).to(depth)
    with torch.autocast(depth.device.type, enabled=False):
        return F.conv2d(F.pad(depth, (size // 2,) * 4, mode="reflect"), filters[:, None])


def depth_edges(depth: Tensor, threshold: float, valid: Tensor | None = None, size: int = 5) -> Tensor:
    """Find the pixels (B, 1, H, W) bool at which the Sobel filter's response along either axis exceeds a threshold.

    Args:
        depth: (B, 1, H, W) in [0, 1].
        threshold: of the absolute response.
        valid: (B, 1, H, W) bool; there is no edge where the filter sees an invalid pixel.
        size: edge of the filter, 3 or 5.
    """
    edges = (sobel(depth, size).abs() > threshold).any(1, keepdim=True)
    return edges if valid is None else edges & sees_valid(valid, size)


def sees_valid(valid: Tensor, size: int = 5) -> Tensor:
    """Find the pixels (B, 1, H, W) bool at which a filter sees only valid pixels.

    Args:
        valid: (B, 1, H, W) bool.
        size: edge of the filter, odd.
    """
    return F.max_pool2d((~valid).float(), size, stride=1, padding=size // 2) == 0
