"""Pictures of what a method makes of a photo: depth with its scale, boundaries, classes, segments."""

from collections.abc import Mapping

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from callbacks.pictures.boundary_picture import FOUND
from callbacks.pictures.class_colors import RGB, ClassColors
from callbacks.pictures.colors import Picture, depth_picture
from callbacks.pictures.frame_result import FrameResult
from callbacks.pictures.hierarchy_sheet import draw_hierarchies
from datamodules.files import printable
from experiments.inference.depth_prediction import DepthPrediction
from lightning_modules.metrics import BoundaryProtocol
from lightning_modules.metrics.boundary import depth_edges

#: Pixels of a picture's longer side, at most; boundaries and segments are drawn at fewer.
LONGEST, LONGEST_OF_LINES = 1024, 640

#: Marks beside a bar of colours, and entries of a legend, at most.
MARKS, ENTRIES = 6, 24

WHITE = (255, 255, 255)


def depth_range(depth: NDArray[np.float32]) -> tuple[float, float]:
    """Return first and 99th percentile of depth (H, W), metres, where colours begin and end; 0 and 1 without any."""
    known = depth[np.isfinite(depth)][:: max(1, depth.size // 200_000)]
    low, high = np.percentile(known, (1, 99)) if known.size else (0.0, 1.0)
    return float(low), float(high)


def colored_depth(depth: NDArray[np.float32], scale: tuple[float, float] | None = None) -> Picture:
    """Return depth (H, W) in colours, near is warm and far is cool, with a bar of the scale in metres at its right.

    Args:
        depth: metres; black where it is not finite.
        scale: metres where colours begin and end; None takes those of :func:`depth_range`.
    """
    low, high = scale or depth_range(depth)
    small = reduced(depth, LONGEST)
    picture = depth_picture(np.nan_to_num(small), low, high, np.isfinite(small))
    height = len(picture)
    unit = max(height / 720, 0.5)
    margin, bar, text = (round(part * unit) for part in (16, 26, 92))
    strip = np.full((height, margin + bar + text, 3), 255, dtype=np.uint8)
    length = height - 2 * margin
    shades = np.linspace(low, high, max(length, 2))[:, None].repeat(bar, axis=1)
    strip[margin : margin + len(shades), margin : margin + bar] = depth_picture(shades, low, high)[: height - margin]
    for mark in np.linspace(low, high, MARKS):
        row = margin + round((mark - low) / max(high - low, 1e-6) * (length - 1))
        write(strip, f"{mark:.2f} m", margin + bar + round(6 * unit), row + round(6 * unit), 0.55 * unit)
    return np.concatenate([picture, strip], axis=1)


def boundaries(result: DepthPrediction) -> Picture:
    """Draw the edges of predicted depth, as the boundary metrics find them, over the photo in dark grey."""
    assert result.depth is not None
    depth = reduced(result.depth, LONGEST_OF_LINES).astype(np.float64)
    image = averaged(result.image, LONGEST_OF_LINES)
    picture = (image.mean(axis=2, keepdims=True) * 0.5).astype(np.uint8).repeat(3, axis=2)
    known = np.isfinite(depth)
    if known.any():
        picture[depth_edges(np.where(known, depth, 0), known, BoundaryProtocol())] = FOUND
    return picture


def colored_classes(result: DepthPrediction) -> Picture:
    """Return predicted classes in the suite's colours, with a legend of those with most pixels at the right."""
    assert result.classes is not None
    colors = ClassColors(len(result.class_names))
    ids = reduced(result.classes, LONGEST)
    return beside_legend(colors.picture(ids), colors.legend(ids))


def beside_legend(picture: Picture, meanings: Mapping[str, RGB]) -> Picture:
    """Return a picture with names of its colours at the right, as many as there is room for."""
    height = len(picture)
    unit = max(height / 720, 0.5)
    line = round(28 * unit)
    strip = np.full((height, round(230 * unit), 3), 255, dtype=np.uint8)
    entries = list(meanings.items())[: min(ENTRIES, max(1, (height - line) // line))]
    for number, (name, color) in enumerate(entries):
        top, left, side = line // 2 + number * line, round(12 * unit), round(18 * unit)
        strip[top : top + side, left : left + side] = color
        write(strip, name, left + side + round(8 * unit), top + round(15 * unit), 0.5 * unit)
    return np.concatenate([picture, strip], axis=1)


def hierarchy(result: DepthPrediction, method: str, title: str) -> Figure:
    """Draw the photo and its segments from fine to coarse.

    Args:
        result: of a method with segments.
        method: its name.
        title: of the photo.
    """
    image = averaged(result.image, LONGEST_OF_LINES)
    segments = tuple(reduced(level, LONGEST_OF_LINES) for level in result.segments)
    text = printable(title).replace("$", r"\$")  # which would begin a formula
    shown = FrameResult(0, text, image, None, result.camera.matrix, segments, {})
    return draw_hierarchies({method: shown})


def reduced(map_: NDArray, longest: int) -> NDArray:
    """Return a map (H, W), each pixel the nearest one of it, with sides of ``longest`` pixels at most."""
    step = max(map_.shape) / longest
    if step <= 1:
        return map_
    rows, columns = (
        ((np.arange(round(side / step)) + 0.5) * step).astype(int).clip(max=side - 1) for side in map_.shape
    )
    return map_[np.ix_(rows, columns)]


def averaged(image: Picture, longest: int) -> Picture:
    """Return an image (H, W, 3) reduced by averages, of the very size that :func:`reduced` gives a map of it."""
    step = max(image.shape[:2]) / longest
    if step <= 1:
        return image
    height, width = (round(side / step) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))


def write(picture: Picture, text: str, left: int, baseline: int, size: float) -> None:
    """Write text in black into a picture."""
    weight = max(1, round(1.4 * size))
    cv2.putText(picture, text, (left, baseline), cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), weight, cv2.LINE_AA)
