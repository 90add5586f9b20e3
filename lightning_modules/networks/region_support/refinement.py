"""The refinement module: depth from image, guidance and coarse depth, iterated (Region Support Network, Table 1)."""

from typing import Literal

import torch
from torch import Tensor, nn

from lightning_modules.networks.depth_head import DepthParametrisation, to_depth
from lightning_modules.networks.region_support.layers import (
    conv_bn_relu,
    regression,
    residual_stage,
    run_layers,
    scaled,
)
from lightning_modules.networks.region_support.pyramid import PyramidPooling, PyramidReference

RefinementExtractor = Literal["plain", "residual"]


class RefinementModule(nn.Module):
    """Six convolutions, a simplified pyramid and eight convolutions at full resolution, the same in every iteration.

    "After each iteration the refined depth map replaces the previous to form the new input" (section 3.2): with
    guidance :math:`G` and :math:`D^0` the coarse depth, :math:`D^t = f([RGB, G, D^{t-1}])`. The module predicts the
    depth itself, not a residual.

    Args:
        width_mult: factor on all channels.
        iterations: how often the module is run.
        in_channels: 5 as the text says, or 4 as Table 1 prints: then the guidance is left out, and region support
            enters as the first iteration's coarse depth only.
        extractor: rows 2-4 of Table 1 are three ``plain`` convolutions, so that there are six as the text says, or
            three ``residual`` units, as the table prints.
        detach_between: let no gradient flow from an iteration into the one before.
        pyramid_ref: what the pyramid's scales refer to, the ``image`` or the ``feature`` map.
        depth_param: how the last layer's output becomes metres, see
            :func:`~lightning_modules.networks.depth_head.to_depth`; the paper does not say.
        max_depth: metres, upper bound of ``sigmoid_max``.
        checkpointing: keep no inner maps of the layers for the backward pass, which computes them again.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(
        self,
        *,
        width_mult: float = 1.0,
        iterations: int = 3,
        in_channels: int = 5,
        extractor: RefinementExtractor = "plain",
        detach_between: bool = False,
        pyramid_ref: PyramidReference = "image",
        depth_param: DepthParametrisation = "softplus",
        max_depth: float = 10.0,
        checkpointing: bool = False,
    ):
        super().__init__()
        if iterations < 1:
            raise ValueError(f"`iterations` must be at least 1, got {iterations}")
        if in_channels not in (4, 5):
            raise ValueError(
                f"`refinement_channels` must be 5 (with guidance) or 4 (coarse depth alone), got {in_channels}"
            )
        if extractor not in ("plain", "residual"):
            raise ValueError(f"`refinement_extractor` must be plain or residual, got {extractor!r}")
        self.iterations, self.in_channels, self.detach_between = iterations, in_channels, detach_between
        self.depth_param: DepthParametrisation = depth_param
        self.max_depth = max_depth
        self.checkpointing = checkpointing
        c16, c64, c128 = (scaled(channels, width_mult) for channels in (16, 64, 128))
        self.features = nn.Sequential(
            conv_bn_relu(in_channels, c64, kernel=7),  # row 1
            *(residual_stage(c64, c64, 3) if extractor == "residual" else (conv_bn_relu(c64, c64) for _ in range(3))),
            conv_bn_relu(c64, c128),  # row 5
            conv_bn_relu(c128, c128),  # row 6
        )
        self.pyramid = PyramidPooling(c128, c16, stride=1, ref=pyramid_ref, checkpointing=checkpointing)  # rows 7, 8
        self.regression = nn.Sequential(
            conv_bn_relu(c128 + 8 * c16, c128),  # row 9
            *regression(c128, 6),  # rows 10-15
        )

    def iterate(self, image: Tensor, guidance: Tensor, depth: Tensor) -> Tensor:
        """Return the refined depth (B, 1, H, W) in metres of one iteration.

        Args:
            image: (B, 3, H, W).
            guidance: (B, 1, H, W).
            depth: (B, 1, H, W) metres, result of the iteration before.
        """
        inputs = [image, guidance, depth] if self.in_channels == 5 else [image, depth]
        x = run_layers([*self.features], torch.cat(inputs, dim=1), checkpointing=self.checkpointing)
        x = run_layers([*self.regression], self.pyramid(x), checkpointing=self.checkpointing)
        return to_depth(x, self.depth_param, self.max_depth)

    def forward(self, image: Tensor, guidance: Tensor, coarse: Tensor) -> list[Tensor]:
        """Return the depths of all iterations.

        Args:
            image: (B, 3, H, W).
            guidance: (B, 1, H, W), region support in metres or what replaces it.
            coarse: (B, 1, H, W) metres, the depth to begin with.

        Returns:
            ``iterations`` maps (B, 1, H, W), metres, float32; the last is the module's answer.
        """
        depths: list[Tensor] = []
        for _ in range(self.iterations):
            depth = depths[-1] if depths else coarse
            depths.append(self.iterate(image, guidance, depth.detach() if self.detach_between else depth))
        return depths
