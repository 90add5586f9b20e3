"""Pyramid pooling at the eight scales of the Region Support Network."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.networks.region_support.layers import checkpointed, conv_bn_relu

PyramidReference = Literal["image", "feature"]

#: Denominators of the scales 1/2 .. 1/160 (section 3.1).
SCALES = (2, 4, 8, 10, 20, 40, 80, 160)


class PyramidPooling(nn.Module):
    """Pyramid pooling: eight scales of a map, convolved, resized and concatenated with it (sections 3.1 and 3.2).

    "The half-resolution feature map pools into eight different scales, 1/2 .. 1/160" leaves open of what. Relative to
    the image, at 480x640, all grids are integer (240x320 .. 3x4); relative to the half-resolution map the last is
    1.5x2. Pooling is by the mean, which the paper does not say either.

    Sizes that a scale does not divide:

    * ``image``: windows of ``scale / stride`` pixels of the map are laid from the top left corner; the last window of a
      row or column is cut off by the border and averages the pixels that it has. Back at full size the pooled map is
      laid over the very same windows and cut at the border, so that nothing shifts.
    * ``feature``: the grid has ``ceil(size / scale)`` cells (2x2 at 1/160 of 240x320), with adaptive windows that
      may overlap by a pixel; back at full size it is stretched over the map.

    Args:
        channels: of the map.
        branch_channels: channels after each scale's convolution.
        stride: of the map, with respect to the image.
        ref: what the scales refer to.
        scales: denominators of the scales.
        checkpointing: keep no inner maps of the branches for the backward pass, which computes them again.

    Raises:
        ValueError: if ``ref`` is unknown, or the stride does not divide a scale.
    """

    def __init__(
        self,
        channels: int,
        branch_channels: int,
        *,
        stride: int,
        ref: PyramidReference = "image",
        scales: Sequence[int] = SCALES,
        checkpointing: bool = False,
    ):
        super().__init__()
        if ref not in ("image", "feature"):
            raise ValueError(f"`pyramid_ref` must be image or feature, got {ref!r}")
        if ref == "image" and (bad := [scale for scale in scales if scale % stride]):
            raise ValueError(f"pyramid scales must be multiples of the map's stride {stride}, got {bad[0]}")
        self.scales, self.stride, self.ref = tuple(scales), stride, ref
        self.checkpointing = checkpointing
        self.branches = nn.ModuleList(conv_bn_relu(channels, branch_channels) for _ in scales)

    def pool(self, x: Tensor, scale: int) -> Tensor:
        """Return the mean of a map (B, C, h, w) in each cell of one scale's grid."""
        if self.ref == "feature":
            return F.adaptive_avg_pool2d(x, (-(-x.shape[-2] // scale), -(-x.shape[-1] // scale)))
        window = scale // self.stride
        return x if window == 1 else F.avg_pool2d(x, window, ceil_mode=True)

    def unpool(self, pooled: Tensor, scale: int, size: tuple[int, int]) -> Tensor:
        """Resize a pooled map to the size (h, w) of the map, bilinearly."""
        if self.ref == "feature":
            return F.interpolate(pooled, size, mode="bilinear", align_corners=False)
        window = scale // self.stride
        if window == 1:
            return pooled
        if pooled.shape[-2:] == (1, 1):  # interpolation of one value, which would fill a window larger than the map
            return pooled.expand(-1, -1, *size)
        covered = [side * window for side in pooled.shape[-2:]]
        return F.interpolate(pooled, covered, mode="bilinear", align_corners=False)[..., : size[0], : size[1]]

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, n * branch_channels + C, h, w) of a map (B, C, h, w), the map itself last."""
        size = (x.shape[-2], x.shape[-1])
        maps = []
        for scale, branch in zip(self.scales, self.branches, strict=True):
            pooled = self.pool(x, scale)
            # A cell of a single frame has no variance to be normalised by
            single = branch.training and pooled.shape[0] * pooled.shape[2] * pooled.shape[3] == 1
            convolved = _without_batch(branch, pooled) if single else self._run(branch, pooled)
            maps.append(self.unpool(convolved, scale, size))
        return torch.cat([*maps, x], dim=1)

    def _run(self, branch: nn.Module, pooled: Tensor) -> Tensor:
        return checkpointed(branch, pooled) if self.checkpointing else branch(pooled)


def _without_batch(branch: nn.Module, pooled: Tensor) -> Tensor:
    """Run a branch on one value per channel, normalised by the running statistics, which stay as they are."""
    branch.eval()
    output: Tensor = branch(pooled)
    branch.train()
    return output
