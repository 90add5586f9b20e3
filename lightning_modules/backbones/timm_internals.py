"""What this suite uses of timm beyond its documented interface; ``tests/test_library_internals.py`` watches it.

Names of parameters are part of checkpoints, here as in every network that timm supplies.
"""

import inspect
import sys
from typing import Any, cast

import timm
from timm.models._efficientnet_blocks import InvertedResidual, SqueezeExcite
from timm.models.vision_transformer import Block
from torch import Tensor

__all__ = [
    "Block",  # documented as a part of VisionTransformer only; CAST's blocks are these, with random weights
    "InvertedResidual",  # Semantic-MD's MBConv block, which timm builds from strings of whole networks only
    "SqueezeExcite",  # the one of EfficientNet: `timm.layers.SqueezeExcite` has other names of parameters
    "add_positions",
    "checkpoint_filter",  # one in the module of most networks; `timm.create_model` hands it on by a private way
]

#: What timm calls the function of a network's module that translates weights.
FILTERS = ("checkpoint_filter_fn", "_filter_fn", "_filter_torchvision_pretrained")


def add_positions(transformer: Any, tokens: Tensor) -> Tensor:
    """Return what the first block of a transformer reads, of patch tokens.

    A transformer adds its class token and its positions, resampled to the grid, in a private method: the public
    ``forward_features`` runs all blocks.

    Args:
        transformer: a ``VisionTransformer`` with ``dynamic_img_size``.
        tokens: (B, h, w, d) of its patch embedding.

    Returns:
        (B, prefix + h * w, d).
    """
    return cast(Tensor, transformer.norm_pre(transformer._pos_embed(tokens)))


def checkpoint_filter(name: str, weights: dict[str, Tensor], *, model: Any) -> dict[str, Tensor]:
    """Translate names of other programs, and resample position embeddings, as timm does it with weights of a hub.

    Args:
        name: timm name, with an optional weight tag.
        weights: by name, changed in place.
        model: the network that is to take them; only shapes are read.

    Returns:
        Weights under timm's names; as they are, where timm translates none for this network.
    """
    module = sys.modules[timm.models.model_entrypoint(name.split(".")[0]).__module__]
    for found in (getattr(module, each, None) for each in FILTERS):
        if found is not None:
            takes_model = len(inspect.signature(found).parameters) > 1
            return cast(dict[str, Tensor], found(weights, model) if takes_model else found(weights))
    return weights
