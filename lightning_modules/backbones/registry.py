"""The backbone registry: a name in a YAML becomes an encoder.

timm and segmentation-models-pytorch supply the networks, so the registry holds no list of models. It holds families: a
family says which names are its own and builds a :class:`Backbone` from one. New families, or single networks, are added
with the decorator and take precedence over older ones.
"""

import difflib
from collections.abc import Callable
from typing import Any

import segmentation_models_pytorch as smp
import timm

from lightning_modules.backbones.backbone import Backbone
from lightning_modules.backbones.initial_weights import Pretrained

Builder = Callable[..., Backbone]
_FAMILIES: list[tuple[Callable[[str], bool], Builder]] = []


def register_backbone(match: str | Callable[[str], bool]) -> Callable[[Builder], Builder]:
    """Register the decorated builder for one name, or for every name that a predicate accepts.

    The builder is called as ``builder(name, pretrained=..., in_channels=..., **options)``.
    """
    accepts = match if callable(match) else match.__eq__

    def register(builder: Builder) -> Builder:
        _FAMILIES.insert(0, (accepts, builder))
        return builder

    return register


def create_backbone(name: str, *, pretrained: Pretrained = True, in_channels: int = 3, **options: Any) -> Backbone:
    """Build a backbone by name.

    Args:
        name: a timm name with an optional weight tag (``resnet50.a1_in1k``), ``smp:<encoder>`` for an encoder of
            segmentation-models-pytorch, or ``<convolutional>+<vit>`` for a hybrid
            (``resnet50.a1_in1k+vit_small_patch16_384.augreg_in1k``).
        pretrained: load the weights that the name stands for, or others, see :mod:`.initial_weights`.
        in_channels: input channels; timm and smp adapt pretrained first convolutions.
        options: what the family takes, for example ``strides`` of the maps to return.

    Raises:
        ValueError: for an unknown name, with the nearest known ones; for weights that do not fit.
        PretrainedUnavailableError: if the weights are neither cached nor reachable.
        FileNotFoundError: if a file of weights is missing.
    """
    for accepts, builder in _FAMILIES:
        if accepts(name):
            return builder(name, pretrained=pretrained, in_channels=in_channels, **options)
    raise unknown_backbone(name)


def unknown_backbone(name: str) -> ValueError:
    """Return the error to raise for a name that no family accepts, with the nearest known ones."""
    known = [*timm.list_models(), *(f"smp:{encoder}" for encoder in smp.encoders.get_encoder_names())]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return ValueError(
        f"unknown backbone `{name}`; " + (f"did you mean {', '.join(near)}?" if near else "see timm.list_models()")
    )
