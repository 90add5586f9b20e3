"""CAST: the encoder of a segment hierarchy, trained to recognise what an image shows.

Ke, Mo, Yu, "Learning Hierarchical Image Segmentation For Recognition and By Recognition", ICLR 2024, and its release
(`cast_models/cast.py`). SHED's encoder is this one, over other convolution features and without the last stage.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from lightning_modules.backbones import Backbone, FeatureInfo
from lightning_modules.backbones.timm_internals import Block
from lightning_modules.networks.shed.blocks import BlockStage
from lightning_modules.networks.shed.cells import assign_cells, segment_mean
from lightning_modules.networks.shed.encoder import SegmentEncoder
from lightning_modules.networks.shed.hierarchy import hard_segments
from lightning_modules.networks.shed.options import PadRule, SHEDOptions
from lightning_modules.networks.shed.positions import sincos_positions


class ConvStem(Backbone):
    """Four 3x3 convolutions with batch norm, the first three of stride 2, and a 1x1 convolution: a map at stride 8.

    Xiao et al., "Early Convolutions Help Transformers See Better", NeurIPS 2021, as CAST has it.

    Args:
        dim: channels of the map, a multiple of 8.
        in_channels: input channels.

    Raises:
        ValueError: if ``dim`` is no multiple of 8.
    """

    def __init__(self, dim: int, in_channels: int = 3):
        super().__init__()
        if dim % 8:
            raise ValueError(f"`dim` is {dim}, but the stem needs a multiple of 8")
        layers: list[nn.Module] = []
        widths = (in_channels, dim // 8, dim // 4, dim // 2, dim)
        for number in range(4):
            before, after = widths[number : number + 2]
            stride = 2 if number < 3 else 1
            layers += [nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(dim, dim, 1))
        self.feature_info = (FeatureInfo(dim, 8),)
        self.mean, self.std = IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
        self.input_multiple = 8

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return one map (B, dim, H / 8, W / 8), in a list."""
        self.check_input(image)
        return [self.layers(image)]


class CASTOutput(NamedTuple):
    """Classes that each image shows, and the segment hierarchy that recognition found.

    Attributes:
        logits: (B, C), one for each class.
        embedding: (B, d) normalised class token after the last block.
        assignments: P_1, ..., P_L, each (B, n_{l-1}, n_l).
    """

    logits: Tensor
    embedding: Tensor
    assignments: list[Tensor]

    def segments(self, superpixels: Tensor) -> list[Tensor]:
        """Return label maps S_0, ..., S_L, each (B, H, W) as ``superpixels``, fine to coarse."""
        return hard_segments(superpixels, self.assignments)


class CASTNetwork(nn.Module):
    """Convolution stem, superpixel tokens, stages of ViT blocks with graph pooling between them, a linear classifier.

    The release pools once more after the last stage and throws the result away; that pooling is left out here.

    Args:
        dim: d, 384 for CAST-S and 768 for CAST-B.
        depths: ViT blocks of each stage, one stage more than there are poolings.
        segments: tokens after each graph pooling.
        heads: attention heads of blocks and poolings.
        classes: C.
        superpixel_size: pixels along a side of the square that a superpixel starts from.
        pad_tokens: superpixels that own no cell are ``masked``, or take part as zero tokens (``cast``, the release).

    Raises:
        ValueError: if the stages are not one more than the poolings, or an option does not fit.
    """

    def __init__(
        self,
        *,
        dim: int = 384,
        depths: Sequence[int] = (3, 3, 3, 2),
        segments: Sequence[int] = (64, 32, 16),
        heads: int = 12,
        classes: int = 40,
        superpixel_size: int = 16,
        pad_tokens: PadRule = "masked",
    ):
        super().__init__()
        if len(depths) != len(segments) + 1:
            raise ValueError(f"`depths` {list(depths)} must have one entry more than `segments` {list(segments)}")
        self.superpixel_size = superpixel_size
        self.backbone = ConvStem(dim)
        norm: Any = partial(nn.LayerNorm, eps=1e-6)
        blocks = [Block(dim, heads, qkv_bias=True, norm_layer=norm) for _ in range(sum(depths))]
        pooled = sum(depths[:-1])
        options = SHEDOptions(segments=segments, pad_tokens=pad_tokens)
        self.encoder = SegmentEncoder(blocks[:pooled], dim, options, heads=heads, depths=depths[:-1])
        self.last = BlockStage(blocks[pooled:])
        self.norm = norm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, image: Tensor, superpixels: Tensor) -> CASTOutput:
        """Recognise what an image shows.

        Args:
            image: (B, 3, H, W), normalised with ImageNet's statistics; H and W multiples of 8.
            superpixels: (B, H, W) int64 ids in 0..n_0-1; ids may be empty.

        Raises:
            ValueError: if ``superpixels`` has ids beyond n_0 (CPU tensors only), or n_0 < n_1.
        """
        height, width = superpixels.shape[1:]
        count = (height // self.superpixel_size) * (width // self.superpixel_size)
        (features,) = self.backbone(image)
        grid = (features.shape[2], features.shape[3])
        positions = sincos_positions(*grid, features.shape[1], device=features.device, rows_first=True)
        cells = assign_cells(superpixels, grid, count)
        encoded = self.encoder(*segment_mean(features + positions.mT.unflatten(1, grid), cells, count))
        cls, _ = self.last(encoded.cls, encoded.tokens)
        embedding = self.norm(cls[:, 0])
        return CASTOutput(self.head(embedding), embedding, encoded.assignments)
