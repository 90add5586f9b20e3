"""From HyperSim's linear HDR colour to the 8-bit image that networks see."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

ToneMap = Literal["apple", "semantic_md"]

GAMMA = 1 / 2.2

#: The percentile of brightness that is brought to a fixed value, and that value (after gamma).
PERCENTILE, BRIGHTNESS = 90, 0.8

#: A darker percentile counts as black, and the whole image becomes black.
DARKEST = 1e-4


def tonemap(hdr: NDArray[np.float32], valid: NDArray[np.bool_], operator: ToneMap = "apple") -> NDArray[np.uint8]:
    """Return an image tone-mapped.

    ``apple`` is the operator of HyperSim's own preview images: brightness ``0.3 R + 0.59 G + 0.11 B`` is scaled so that
    its 90th percentile over the valid pixels becomes 0.8 after the gamma curve. ``semantic_md`` is what Semantic-MD's
    released code comes to: no scaling at all, so that bright scenes saturate.

    Args:
        hdr: (H, W, 3) linear RGB; not-a-number and infinite values count as black and as the largest float16.
        valid: (H, W) pixels that show a surface.
        operator: the operator.

    Returns:
        (H, W, 3) uint8.
    """
    linear = np.nan_to_num(hdr.astype(np.float32), nan=0.0, posinf=float(np.finfo(np.float16).max), neginf=0.0)
    scale = apple_scale(linear, valid) if operator == "apple" else 1.0
    curved = np.clip(np.maximum(linear * np.float32(scale), 0) ** np.float32(GAMMA), 0, 1)
    return np.round(curved * 255).astype(np.uint8)


def apple_scale(hdr: NDArray[np.float32], valid: NDArray[np.bool_]) -> float:
    """Return the exposure of the ``apple`` operator: 1 where no pixel is valid, 0 where the scene is black."""
    if not valid.any():
        return 1.0
    brightness = hdr[valid] @ np.array([0.3, 0.59, 0.11], dtype=np.float32)
    percentile = float(np.percentile(brightness, PERCENTILE))
    return 0.0 if percentile < DARKEST else BRIGHTNESS ** (1 / GAMMA) / percentile
