"""timm networks as backbones: convolutional pyramids and plain vision transformers."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any, cast

import timm
from timm.models import VisionTransformer
from torch import Tensor

from lightning_modules.backbones.base import Backbone, FeatureInfo
from lightning_modules.backbones.pretrained import pretrained_weights
from lightning_modules.backbones.registry import register_backbone


def create_timm_model(name: str, *, pretrained: bool, **options: Any) -> Any:
    """``timm.create_model`` whose failure to load weights is one clear line."""
    with pretrained_weights(name) if pretrained else nullcontext():
        return timm.create_model(name, pretrained=pretrained, **options)


@cache
def _vision_transformers() -> frozenset[str]:
    return frozenset(timm.list_models(module="vision_transformer")) | frozenset(
        timm.list_models("deit*_patch*", module="deit")
    )


def is_vision_transformer(name: str) -> bool:
    """Whether timm builds a plain, columnar vision transformer under this name (a weight tag is ignored)."""
    return name.split(".")[0] in _vision_transformers()


def is_pyramid(name: str) -> bool:
    """Whether timm builds anything else under this name; nearly all of it can return a feature pyramid."""
    return timm.is_model(name.split(".")[0]) and not is_vision_transformer(name)


class TimmPyramid(Backbone):
    """A convolutional (or hierarchical) timm network cut after the last map asked for.

    Args:
        name: timm model name, with an optional weight tag.
        strides: strides of the maps to return, fine to coarse.
        pretrained: load the weights of the tag.
        in_channels: input channels.

    Raises:
        ValueError: if the network has no map of a stride asked for.
    """

    def __init__(self, name: str, *, strides: Sequence[int] = (4, 8, 16, 32), pretrained: bool, in_channels: int = 3):
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
        """Maps at the strides asked for."""
        self.check_input(image)
        return self.network(image)


class TimmViT(Backbone):
    """A plain vision transformer whose maps are its patch tokens after the chosen blocks, without final norm.

    Args:
        name: timm model name, with an optional weight tag.
        blocks: indices of the blocks to read; None takes four, evenly spaced, the last one included.
        pretrained: load the weights of the tag.
        in_channels: input channels.
    """

    def __init__(self, name: str, *, blocks: Sequence[int] | None = None, pretrained: bool, in_channels: int = 3):
        super().__init__()
        self.network: VisionTransformer = create_timm_model(
            name, pretrained=pretrained, in_chans=in_channels, num_classes=0, dynamic_img_size=True
        )
        depth = len(self.network.blocks)
        self.taps = list(blocks) if blocks is not None else [depth * (i + 1) // 4 - 1 for i in range(4)]
        patch = self.network.patch_embed.patch_size[0]
        self.feature_info = tuple(FeatureInfo(self.network.embed_dim, patch) for _ in self.taps)
        self.mean, self.std = (tuple(self.network.pretrained_cfg[key]) for key in ("mean", "std"))
        self.input_multiple = patch

    def forward(self, image: Tensor) -> list[Tensor]:
        """Patch tokens (B, d, H / patch, W / patch) after each tapped block."""
        self.check_input(image)
        return cast(list[Tensor], self.network.forward_intermediates(image, self.taps, intermediates_only=True))


@register_backbone(is_pyramid)
def build_pyramid(name: str, **options: Any) -> TimmPyramid:
    """Convolutional timm backbones."""
    return TimmPyramid(name, **options)


@register_backbone(is_vision_transformer)
def build_vit(name: str, **options: Any) -> TimmViT:
    """Plain vision transformers of timm."""
    return TimmViT(name, **options)
