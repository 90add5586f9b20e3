"""The generation module: region support, or depth, from one image (Region Support Network, Table 1, left)."""

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

GenerationBackbone = Literal["table1", "resnet34_dilated"]


class FeatureExtractor(nn.Module):
    """ResNet-34 with its sub-sampling removed but for one, rows 1..20 of Table 1; parts are named as ResNet's are.

    ========  =======================================  ==========================================
    part      ``table1``                               ``resnet34_dilated``
    ========  =======================================  ==========================================
    stem      row 1: 7x7, 64                           the same
    layer1    rows 2-4: 3 units, 64                    the same
    widen     rows 5, 6: two convolutions, 128         none
    layer2    rows 7-10: 4 units, 256, stride 2        4 units, 128, stride 2
    layer3    rows 11-16: 6 units, 512                 6 units, 256, dilation 2
    layer4    rows 17-20: 4 units, 512                 3 units, 512, dilation 4
    ========  =======================================  ==========================================

    Row 17-20's "stride 3" is a slip for 1: the text has one sub-sampling, and half-resolution maps.

    Args:
        width_mult: factor on all channels.
        backbone: ``table1``: the widths of the table, of which ResNet-34's weights fit where shapes agree;
            ``resnet34_dilated``: ResNet-34's own widths and units, so that all its weights fit.
        checkpointing: keep no inner maps of the layers for the backward pass, which computes them again.

    Attributes:
        skip_channels: channels of the full-resolution map.
        channels: channels of the half-resolution map.

    Raises:
        ValueError: for an unknown backbone.
    """

    def __init__(
        self, *, width_mult: float = 1.0, backbone: GenerationBackbone = "table1", checkpointing: bool = False
    ):
        super().__init__()
        if backbone not in ("table1", "resnet34_dilated"):
            raise ValueError(f"`generation_backbone` must be table1 or resnet34_dilated, got {backbone!r}")
        c64, c128, c256, c512 = (scaled(channels, width_mult) for channels in (64, 128, 256, 512))
        self.checkpointing = checkpointing
        self.conv1 = nn.Conv2d(3, c64, 7, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(c64)
        self.act1 = nn.ReLU(inplace=True)
        self.layer1 = residual_stage(c64, c64, 3)
        if backbone == "table1":
            self.widen = nn.Sequential(conv_bn_relu(c64, c128), conv_bn_relu(c128, c128))
            self.layer2 = residual_stage(c128, c256, 4, stride=2)
            self.layer3 = residual_stage(c256, c512, 6)
            self.layer4 = residual_stage(c512, c512, 4)
            self.skip_channels = c128
        else:
            self.widen = nn.Sequential()
            self.layer2 = residual_stage(c64, c128, 4, stride=2)
            self.layer3 = residual_stage(c128, c256, 6, dilation=2)
            self.layer4 = residual_stage(c256, c512, 3, dilation=4)
            self.skip_channels = c64
        self.channels = c512

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return a full-resolution map (B, c, H, W) and a half-resolution map (B, c', ceil(H / 2), ceil(W / 2))."""
        x = self.act1(self.bn1(self.conv1(image)))
        skip = run_layers([*self.layer1, *self.widen], x, checkpointing=self.checkpointing)
        deep = run_layers([*self.layer2, *self.layer3, *self.layer4], skip, checkpointing=self.checkpointing)
        return skip, deep


class GenerationModule(nn.Module):
    """Features, pyramid pooling, regression at half and at full resolution (section 3.1).

    "During two concatenations, the high-resolution feature map holds half of the channels". Table 1 prints 128 input
    channels for row 26, which after that concatenation are 256 (``resnet34_dilated``: 128).

    Args:
        width_mult: factor on all channels.
        backbone: widths and units of :class:`FeatureExtractor`, ``table1`` or ``resnet34_dilated``.
        pyramid_ref: what the pyramid's scales refer to, the ``image`` or the ``feature`` map.
        depth_param: how the last layer's output becomes metres, see
            :func:`~lightning_modules.networks.depth_head.to_depth`; the paper does not say.
        max_depth: metres, upper bound of ``sigmoid_max``.
        checkpointing: keep no inner maps of the layers for the backward pass, which computes them again.
    """

    def __init__(
        self,
        *,
        width_mult: float = 1.0,
        backbone: GenerationBackbone = "table1",
        pyramid_ref: PyramidReference = "image",
        depth_param: DepthParametrisation = "softplus",
        max_depth: float = 10.0,
        checkpointing: bool = False,
    ):
        super().__init__()
        c64, c256 = scaled(64, width_mult), scaled(256, width_mult)
        self.depth_param: DepthParametrisation = depth_param
        self.max_depth = max_depth
        self.checkpointing = checkpointing
        self.features = FeatureExtractor(width_mult=width_mult, backbone=backbone, checkpointing=checkpointing)
        channels, skip = self.features.channels, self.features.skip_channels
        self.pyramid = PyramidPooling(  # rows 21, 22: 8 x 64 = 512
            channels, c64, stride=2, ref=pyramid_ref, checkpointing=checkpointing
        )
        self.fuse = conv_bn_relu(channels + 8 * c64, channels)  # row 23
        self.upsample = nn.ConvTranspose2d(channels, c256, 3, stride=2, padding=1, bias=False)  # row 24
        self.upsample_norm = nn.Sequential(nn.BatchNorm2d(c256), nn.ReLU(inplace=True))
        self.reduce = conv_bn_relu(c256, skip)  # row 25
        self.regression = regression(2 * skip, 5)  # rows 26-30

    def decode(self, skip: Tensor, deep: Tensor) -> Tensor:
        """Return the unbounded output (B, 1, H, W), given both maps of :class:`FeatureExtractor`."""
        x = run_layers([self.fuse], self.pyramid(deep), checkpointing=self.checkpointing)
        x = self.upsample(x, output_size=list(skip.shape[-2:]))
        x = run_layers([self.upsample_norm, self.reduce], x, checkpointing=self.checkpointing)
        return run_layers([*self.regression], torch.cat([x, skip], dim=1), checkpointing=self.checkpointing)

    def forward(self, image: Tensor) -> Tensor:
        """Return depth (B, 1, H, W) in metres, float32, of an image (B, 3, H, W) of any size."""
        return to_depth(self.decode(*self.features(image)), self.depth_param, self.max_depth)
