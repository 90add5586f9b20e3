"""timm networks as backbones: convolutional pyramids and plain vision transformers."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.backbones.backbone import Backbone, FeatureInfo
from lightning_modules.backbones.initial_weights import Pretrained, are_left_out, source_of_one
from lightning_modules.backbones.local_weights import forget_overlay, overlay, timm_weights
from lightning_modules.backbones.pretrained import pretrained_weights
from lightning_modules.backbones.registry import register_backbone
from lightning_modules.backbones.timm_internals import add_positions


def create_timm_model(name: str, *, pretrained: Pretrained, **options: Any) -> Any:
    """Call ``timm.create_model`` with the weights that ``pretrained`` stands for, see :mod:`.initial_weights`.

    Raises:
        PretrainedUnavailableError: if weights of a hub are neither cached nor reachable.
        FileNotFoundError | ValueError: if a file or package is missing, or does not fit.
    """
    source = source_of_one(name, pretrained)
    if not source or are_left_out():
        return timm.create_model(name, pretrained=False, **options)
    if source is True:
        with pretrained_weights(name):
            return timm.create_model(name, pretrained=True, **options)
    weights = timm_weights(name, source, features_only=options.get("features_only", False))
    network = timm.create_model(name, pretrained=True, **overlay(weights), **options)
    forget_overlay(network)
    return network


@cache
def _vision_transformers() -> frozenset[str]:
    return frozenset(timm.list_models(module="vision_transformer")) | frozenset(
        timm.list_models("deit*_patch*", module="deit")
    )


def is_vision_transformer(name: str) -> bool:
    """Tell whether timm builds a plain, columnar vision transformer by this name (a weight tag is ignored)."""
    return name.split(".")[0] in _vision_transformers()


def is_pyramid(name: str) -> bool:
    """Tell whether timm builds any other network by this name; nearly all of them can return a feature pyramid."""
    return timm.is_model(name.split(".")[0]) and not is_vision_transformer(name)


class TimmPyramid(Backbone):
    """Convolutional (or hierarchical) timm network, cut after the last map that is returned.

    Args:
        name: timm model name, with an optional weight tag.
        strides: strides of the maps to return, fine to coarse.
        pretrained: load the weights of the tag, or others, see :mod:`.initial_weights`.
        in_channels: input channels.

    Raises:
        ValueError: if the network has no map of one of the ``strides``.
    """

    def __init__(
        self, name: str, *, strides: Sequence[int] = (4, 8, 16, 32), pretrained: Pretrained, in_channels: int = 3
    ):
        super().__init__()
        probe: Any = timm.create_model(name.split(".")[0], pretrained=False, features_only=True)
        reductions = list(probe.feature_info.reduction())
        if missing := sorted(set(strides) - set(reductions)):
            raise ValueError(f"backbone `{name}` has maps of stride {reductions}, none of stride {missing}")
        indices = [len(reductions) - 1 - reductions[::-1].index(stride) for stride in strides]
        self.network = create_timm_model(
            name, pretrained=pretrained, in_chans=in_channels, features_only=True, out_indices=indices
        )
        channels = self.network.feature_info.channels()
        self.feature_info = tuple(FeatureInfo(c, s) for c, s in zip(channels, strides, strict=True))
        self.mean, self.std = (tuple(self.network.pretrained_cfg[key]) for key in ("mean", "std"))
        self.input_multiple = strides[-1]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return a map (B, channels, H / stride, W / stride) at each of ``strides``."""
        self.check_input(image)
        return self.network(image)


class TimmViT(Backbone):
    """Plain vision transformer whose maps are its patch tokens after the chosen blocks.

    Learned positions are resampled to the grid of the image: DINOv2's as its release does it (bicubic, without
    antialiasing, scaled by a tenth of a patch more), others' as timm does it.

    Args:
        name: timm model name, with an optional weight tag.
        blocks: indices of the blocks to read; None takes four, evenly spaced, the last one included.
        norm: apply the final norm to what is read of each block, as DINOv2's release does.
        pretrained: load the weights of the tag, or others, see :mod:`.initial_weights`.
        in_channels: input channels.

    Raises:
        ValueError: if the network has no block of one of the indices.
    """

    def __init__(
        self,
        name: str,
        *,
        blocks: Sequence[int] | None = None,
        norm: bool = False,
        pretrained: Pretrained,
        in_channels: int = 3,
    ):
        super().__init__()
        self.network: Any = create_timm_model(
            name, pretrained=pretrained, in_chans=in_channels, num_classes=0, dynamic_img_size=True
        )
        depth = len(self.network.blocks)
        self.taps = list(blocks) if blocks is not None else [depth * (i + 1) // 4 - 1 for i in range(4)]
        if not set(self.taps) <= set(range(depth)):
            raise ValueError(f"backbone `{name}` has {depth} transformer blocks: `blocks` {self.taps} do not fit")
        self.norm = norm
        # DINOv2 with registers resamples without the offset
        self.offset_positions = "dinov2" in name and "reg4" not in name
        patch = self.network.patch_embed.patch_size[0]
        self.feature_info = tuple(FeatureInfo(self.network.embed_dim, patch) for _ in self.taps)
        self.mean, self.std = (tuple(self.network.pretrained_cfg[key]) for key in ("mean", "std"))
        self.input_multiple = patch

    def embed(self, image: Tensor) -> Tensor:
        """Return what the first block reads of an image (B, C, H, W): tokens (B, prefix + h * w, d) with positions."""
        tokens = self.network.patch_embed(image)  # (B, h, w, d)
        grid, learned = tokens.shape[1:3], self.network.pos_embed
        if self.offset_positions and grid != self.network.patch_embed.grid_size:
            cls = self.network.cls_token.expand(tokens.shape[0], -1, -1)
            return torch.cat([cls, tokens.flatten(1, 2)], 1) + dinov2_positions(learned, grid)
        return add_positions(self.network, tokens)

    def forward_tokens(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return patch tokens (B, d, H / patch, W / patch) after each tapped block, and the class token after the last.

        The class token is (B, d); in a network without one the mean of the patch tokens takes its place.
        """
        self.check_input(image)
        grid = (image.shape[-2] // self.input_multiple, image.shape[-1] // self.input_multiple)
        prefix = self.network.num_prefix_tokens
        tokens, tapped = self.embed(image), {}
        for index, block in enumerate(self.network.blocks[: max(self.taps) + 1]):
            tokens = block(tokens)
            if index in self.taps:
                tapped[index] = self.network.norm(tokens) if self.norm else tokens
        last = tapped[max(self.taps)]
        cls = last[:, 0] if prefix else last.mean(1)
        return [tapped[index][:, prefix:].mT.unflatten(2, grid) for index in self.taps], cls

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return patch tokens (B, d, H / patch, W / patch) after each tapped block."""
        return self.forward_tokens(image)[0]


def dinov2_positions(learned: Tensor, grid: tuple[int, int]) -> Tensor:
    """Resample DINOv2's learned positions to a grid as its release does it.

    The scale is that of a grid larger by a tenth of a cell, which shifts the samples a little. It is the release's
    safeguard against round-off, and its weights are used with it.

    Args:
        learned: (1, 1 + n * n, d), that of the class token first.
        grid: rows and columns.

    Returns:
        (1, 1 + rows * columns, d).
    """
    side = round((learned.shape[1] - 1) ** 0.5)
    square = learned[:, 1:].mT.unflatten(2, (side, side)).float()
    scale = [(cells + 0.1) / side for cells in grid]
    patches = F.interpolate(square, scale_factor=scale, mode="bicubic").flatten(2).mT
    return torch.cat([learned[:, :1], patches.to(learned.dtype)], 1)


@register_backbone(is_pyramid)
def build_pyramid(name: str, **options: Any) -> TimmPyramid:
    """Build a convolutional or hierarchical network of timm."""
    return TimmPyramid(name, **options)


@register_backbone(is_vision_transformer)
def build_vit(name: str, **options: Any) -> TimmViT:
    """Build a plain vision transformer of timm."""
    return TimmViT(name, **options)
