"""Colours of depth, error and segment maps, the same in every picture of the suite."""

import colorsys
from typing import cast

import matplotlib
import numpy as np
from numpy.typing import NDArray
from skimage.color import label2rgb
from skimage.segmentation import mark_boundaries

Picture = NDArray[np.uint8]

#: Pixels of width that outlined segments are enlarged to, at most.
OUTLINED_WIDTH = 400


def colorize(values: NDArray, low: float, high: float, colormap: str, valid: NDArray | None = None) -> Picture:
    """Return values (H, W) from ``low`` to ``high`` in colours (H, W, 3) of a colormap; invalid pixels are black."""
    scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    colors = matplotlib.colormaps[colormap](scaled, bytes=True)[..., :3]
    return colors if valid is None else np.where(valid[..., None], colors, 0).astype(np.uint8)


def depth_picture(depth: NDArray, low: float, high: float, valid: NDArray | None = None) -> Picture:
    """Return depth (H, W) in colours (H, W, 3), from ``low`` to ``high`` metres: near is warm, far is cool."""
    return colorize(depth, low, high, "Spectral", valid)


def error_picture(error: NDArray, high: float, valid: NDArray | None = None) -> Picture:
    """Return errors (H, W) >= 0 in colours (H, W, 3), up to ``high``: dark is small."""
    return colorize(error, 0, high, "magma", valid)


def segment_picture(segments: NDArray, image: Picture) -> Picture:
    """Return segments (H, W) in the mean colours that the image (H, W, 3) has in them, outlined in white.

    A small picture is enlarged by a whole factor, up to :data:`OUTLINED_WIDTH`, so that outlines are thin.
    """
    mean = cast(NDArray, label2rgb(segments, image, kind="avg", bg_label=-1)) / 255
    factor = max(1, OUTLINED_WIDTH // segments.shape[1])
    large_mean, large_ids = (values.repeat(factor, axis=0).repeat(factor, axis=1) for values in (mean, segments))
    return (mark_boundaries(large_mean, large_ids, color=(1, 1, 1), mode="inner") * 255).astype(np.uint8)


def id_color(id_: int) -> tuple[float, float, float]:
    """Return the colour of an id, RGB in [0, 1]; successive hues are a golden angle apart, brightness alternates."""
    return colorsys.hsv_to_rgb(id_ * 0.618034 % 1, (0.85, 0.5)[id_ % 2], (1.0, 0.85, 0.65)[id_ % 3])


def part_picture(segments: NDArray, image: Picture) -> Picture:
    """Return segments (H, W) in distinct colours over the brightness of the image (H, W, 3)."""
    ids, places = np.unique(segments, return_inverse=True)
    colors = 255 * np.array([id_color(int(id_)) for id_ in ids])[places.reshape(segments.shape)]
    return (0.7 * colors + 0.3 * image.mean(axis=2, keepdims=True)).round().astype(np.uint8)
