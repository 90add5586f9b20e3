"""Convolutional stem + transformer blocks: the backbone that DPT-Hybrid and SHED share.

Ranftl, Bochkovskiy, Koltun, "Vision Transformers for Dense Prediction", ICCV 2021, section 3.1, with the ViT-Base of
the release replaced by a ViT-Small, as SHED (section 4.1) has it. No ResNet-50 + ViT-Small hybrid has public weights:
stem and transformer come pretrained separately, and the 1x1 projection between them is new.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from timm.layers import resample_abs_pos_embed
from timm.models import VisionTransformer
from torch import Tensor, nn

from lightning_modules.backbones.backbone import Backbone, FeatureInfo
from lightning_modules.backbones.initial_weights import Pretrained, sources_of_parts
from lightning_modules.backbones.registry import create_backbone, register_backbone
from lightning_modules.backbones.timm_backbones import create_timm_model, is_vision_transformer


class HybridParts(NamedTuple):
    """A convolutional pyramid, and a transformer of which only blocks, class token and positions are used."""

    stem: Backbone
    transformer: VisionTransformer


class HybridFeatures(NamedTuple):
    """Convolutional maps (B, C, H / stride, W / stride) and token sequences (B, 1 + N, d), class token first."""

    maps: list[Tensor]
    tokens: list[Tensor]


def create_hybrid_parts(
    name: str, *, strides: Sequence[int], pretrained: Pretrained = True, in_channels: int = 3
) -> HybridParts:
    """Build both parts of ``<stem>+<vit>`` for a network that makes tokens in its own way, as SHED does.

    Args:
        name: registry name of the stem and timm name of a plain vision transformer, joined by ``+``.
        strides: strides of the stem's maps; the last one is what becomes tokens.
        pretrained: load the weights of both parts, or of each from a source of its own: ``{stem: ..., transformer:
            ...}``, see :mod:`.initial_weights`.
        in_channels: input channels.

    Raises:
        ValueError: if the second part is missing or no plain vision transformer.
    """
    stem, _, vit = name.partition("+")
    if not is_vision_transformer(vit):
        raise ValueError(f"backbone `{name}` must be `<stem>+<vit>`: `{vit}` is no plain vision transformer of timm")
    sources = sources_of_parts(name, pretrained)
    return HybridParts(
        create_backbone(stem, pretrained=sources["stem"], in_channels=in_channels, strides=strides),
        create_timm_model(vit, pretrained=sources["transformer"], num_classes=0),
    )


def class_token_start(transformer: VisionTransformer) -> Tensor | None:
    """Return what a transformer's blocks read in the place of the class token: that token plus its learned position.

    Args:
        transformer: of :func:`create_hybrid_parts`.

    Returns:
        (d,), or None for a transformer without a class token.
    """
    if transformer.cls_token is None:
        return None
    token = transformer.cls_token[0, 0]
    if transformer.pos_embed is None or transformer.no_embed_class:
        return token
    return token + transformer.pos_embed[0, 0]


class HybridBackbone(Backbone):
    """A convolutional pyramid whose deepest map is projected to ``dim`` channels and read as transformer tokens.

    Args:
        name: ``<stem>+<vit>``, see :func:`create_hybrid_parts`.
        strides: strides of the convolutional maps; the last one becomes tokens.
        taps: indices of the blocks whose tokens are returned; None takes those after 3/4 and all of the blocks, as the
            release of DPT-Hybrid does.
        pretrained: load the weights of both parts, or of each from a source of its own: ``{stem: ..., transformer:
            ...}``, see :mod:`.initial_weights`.
        in_channels: input channels.

    Raises:
        ValueError: if the transformer has fewer blocks than ``taps`` asks for, or has no class token.
    """

    def __init__(
        self,
        name: str,
        *,
        strides: Sequence[int] = (4, 8, 16),
        taps: Sequence[int] | None = None,
        pretrained: Pretrained,
        in_channels: int = 3,
    ):
        super().__init__()
        self.stem, transformer = create_hybrid_parts(
            name, strides=strides, pretrained=pretrained, in_channels=in_channels
        )
        depth = len(transformer.blocks)
        self.taps = tuple(taps) if taps is not None else (depth * 3 // 4 - 1, depth - 1)
        if max(self.taps) >= depth:
            raise ValueError(f"backbone `{name}` has {depth} transformer blocks: `taps` {list(self.taps)} do not fit")
        self.dim: int = transformer.embed_dim
        self.blocks = nn.ModuleList(transformer.blocks)
        if transformer.cls_token is None or transformer.pos_embed is None:
            raise ValueError(f"backbone `{name}`: the transformer needs a class token and learned positions")
        self.cls_token: nn.Parameter = transformer.cls_token
        self.pos_embed: nn.Parameter = transformer.pos_embed
        self.project = nn.Conv2d(self.stem.feature_info[-1].channels, self.dim, 1)

        token_info = (FeatureInfo(self.dim, strides[-1]),) * len(self.taps)
        self.feature_info = (*self.stem.feature_info[:-1], *token_info)
        self.mean, self.std = self.stem.mean, self.stem.std  # only the stem sees the image
        self.input_multiple = self.stem.input_multiple

    def embed(self, features: Tensor) -> Tensor:
        """Make tokens (B, 1 + h*w, d) of the projected deepest map (B, d, h, w): class token first, positions added."""
        batch, _, height, width = features.shape
        tokens = torch.cat([self.cls_token.expand(batch, -1, -1), features.flatten(2).mT], dim=1)
        return tokens + resample_abs_pos_embed(
            self.pos_embed, [height, width], interpolation="bilinear", antialias=False
        )

    def forward_tokens(self, image: Tensor) -> HybridFeatures:
        """Return convolutional maps finer than the token grid, and the token sequences after the blocks ``taps``.

        Args:
            image: (B, C, H, W), normalised with ``mean`` and ``std``.
        """
        *maps, deepest = self.stem(image)
        tokens, tapped = self.embed(self.project(deepest)), []
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index in self.taps:
                tapped.append(tokens)
        return HybridFeatures(maps, tapped)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the stem's maps, then the tapped tokens as maps, without the class token."""
        stride = self.feature_info[-1].stride
        height, width = image.shape[-2] // stride, image.shape[-1] // stride
        maps, tokens = self.forward_tokens(image)
        return [*maps, *(t[:, 1:].mT.unflatten(2, (height, width)) for t in tokens)]


@register_backbone(lambda name: "+" in name)
def build_hybrid(name: str, **options: Any) -> HybridBackbone:
    """Build a hybrid ``<stem>+<vit>``."""
    return HybridBackbone(name, **options)
