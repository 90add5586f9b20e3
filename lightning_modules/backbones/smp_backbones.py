"""Encoders of segmentation-models-pytorch as backbones, under the prefix ``smp:``."""

from contextlib import nullcontext
from typing import Any

import segmentation_models_pytorch as smp
import timm
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor

from lightning_modules.backbones.backbone import RGB, Backbone, FeatureInfo
from lightning_modules.backbones.initial_weights import Pretrained, are_left_out, source_of_one
from lightning_modules.backbones.local_weights import load_encoder
from lightning_modules.backbones.pretrained import pretrained_weights
from lightning_modules.backbones.registry import register_backbone, unknown_backbone

PREFIX = "smp:"


def smp_name(name: str) -> str:
    """Return what smp calls a backbone of the registry, for smp's own segmentation models.

    Raises:
        ValueError: for a hybrid, which smp does not know, or an unknown name.
    """
    if "+" in name:
        raise ValueError(
            f"backbone `{name}` is a hybrid, which segmentation-models-pytorch has no decoders for; take a timm name "
            f"or `{PREFIX}<encoder>`"
        )
    if _is_smp(name):
        return name.removeprefix(PREFIX)
    if timm.is_model(name.split(".")[0]):
        return f"tu-{name}"
    raise unknown_backbone(name)


def smp_statistics(name: str, *, pretrained: bool) -> tuple[RGB, RGB]:
    """Return RGB mean and standard deviation in [0, 1] of the images that an encoder was trained on.

    Args:
        name: of the encoder, as smp spells it; for those of timm, `tu-...`, no connection is needed.
        pretrained: whether its weights are used; smp reads the statistics of its own encoders from the hub. Without,
            they are ImageNet's.
    """
    known = timm.models.is_model_pretrained(name.removeprefix("tu-")) if name.startswith("tu-") else pretrained
    statistics = smp.encoders.get_preprocessing_params(name) if known else {}
    mean, std = statistics.get("mean", IMAGENET_DEFAULT_MEAN), statistics.get("std", IMAGENET_DEFAULT_STD)
    return tuple(mean), tuple(std)


class SmpEncoder(Backbone):
    """An encoder of segmentation-models-pytorch, its full-resolution identity map left out.

    Args:
        name: encoder name as smp spells it.
        depth: number of halvings, and of returned maps, 3..5.
        pretrained: load ImageNet weights, or others, see :mod:`.initial_weights`.
        in_channels: input channels.
    """

    def __init__(self, name: str, *, depth: int = 5, pretrained: Pretrained, in_channels: int = 3):
        super().__init__()
        source = source_of_one(f"{PREFIX}{name}", pretrained)
        with pretrained_weights(name) if source is True else nullcontext():
            hub = "imagenet" if source is True and not are_left_out() else None
            self.network = smp.encoders.get_encoder(name, depth=depth, weights=hub)
            self.mean, self.std = smp_statistics(name, pretrained=source is True)
        if isinstance(source, str) and not are_left_out():
            load_encoder(name, self.network, source)
        self.network.set_in_channels(in_channels, pretrained=bool(source))
        self.feature_info = tuple(
            FeatureInfo(channels, 2**level) for level, channels in enumerate(self.network.out_channels) if level > 0
        )
        self.input_multiple = 2**depth

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return a map (B, channels, H / stride, W / stride) of each halving, as ``feature_info`` lists them."""
        self.check_input(image)
        return list(self.network(image)[1:])


def _is_smp(name: str) -> bool:
    return name.startswith(PREFIX) and name.removeprefix(PREFIX) in smp.encoders.get_encoder_names()


@register_backbone(_is_smp)
def build_smp(name: str, **options: Any) -> SmpEncoder:
    """Build an encoder of segmentation-models-pytorch, of a name with the prefix."""
    return SmpEncoder(name.removeprefix(PREFIX), **options)
