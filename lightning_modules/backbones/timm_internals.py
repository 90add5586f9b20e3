"""What this suite uses of timm beyond its documented interface; ``tests/test_library_internals.py`` watches it.

Names of parameters are part of checkpoints, here as in every network that timm supplies.
"""

from typing import Any, cast

from timm.models._efficientnet_blocks import InvertedResidual, SqueezeExcite
from timm.models.vision_transformer import Block
from torch import Tensor

__all__ = [
    "Block",  # documented as a part of VisionTransformer only; CAST's blocks are these, with random weights
    "InvertedResidual",  # Semantic-MD's MBConv block, which timm builds from strings of whole networks only
    "SqueezeExcite",  # the one of EfficientNet: `timm.layers.SqueezeExcite` has other names of parameters
    "add_positions",
]


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
