"""Colours of depth, error and segment maps, the same in every picture of the suite."""

from typing import cast

import matplotlib
import numpy as np
from numpy.typing import NDArray
from skimage.color import label2rgb
from skimage.segmentation import mark_boundaries

Picture = NDArray[np.uint8]


def colorize(values: NDArray, low: float, high: float, colormap: str, valid: NDArray | None = None) -> Picture:
    """Map (H, W) values in [low, high] to (H, W, 3) colours; invalid pixels are black."""
    scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    colors = (matplotlib.colormaps[colormap](scaled)[..., :3] * 255).astype(np.uint8)
    return colors if valid is None else np.where(valid[..., None], colors, 0).astype(np.uint8)


def depth_picture(depth: NDArray, low: float, high: float, valid: NDArray | None = None) -> Picture:
    """Depth (H, W) in metres: near is warm, far is cool."""
    return colorize(depth, low, high, "Spectral", valid)


def error_picture(error: NDArray, high: float, valid: NDArray | None = None) -> Picture:
    """Error (H, W) >= 0, dark is small."""
    return colorize(error, 0, high, "magma", valid)


def segment_picture(segments: NDArray, image: Picture) -> Picture:
    """Segments (H, W) in their mean colours of the image (H, W, 3), outlined in white."""
    mean = cast(NDArray, label2rgb(segments, image, kind="avg", bg_label=-1))
    return (mark_boundaries(mean / 255, segments, color=(1, 1, 1), mode="inner") * 255).astype(np.uint8)
