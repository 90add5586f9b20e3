"""The edges of predicted depth beside the true boundaries, in the colours of SHED's Fig. 4."""

import cv2
import numpy as np
from numpy.typing import NDArray

from callbacks.pictures.class_colors import RGB
from callbacks.pictures.colors import Picture
from callbacks.pictures.frame_view import FrameView
from lightning_modules.metrics.boundary import depth_edges

#: Colours, in the order in which they are drawn: an edge that was found hides the true one on the same pixel.
TRUE, FOUND, FALSE = (255, 220, 0), (40, 230, 60), (255, 40, 40)


def boundary_picture(view: FrameView) -> Picture:
    """Draw true boundaries and predicted edges over the image in dark grey, (H, W, 3).

    True boundaries are yellow: the annotated ones, or else the edges of the true depth. Predicted edges are green where
    a true one is within the tolerance of the metrics (``boundary_precision``), red elsewhere.
    """
    gray = view.native_image.mean(axis=2, keepdims=True) * 0.4
    picture = np.repeat(gray, 3, axis=2).astype(np.uint8)
    true, predicted = true_edges(view), predicted_edges(view)
    near = _distance_to(true) <= view.boundary.tolerance
    for edges, color in ((true, TRUE), (predicted & near, FOUND), (predicted & ~near, FALSE)):
        picture[edges] = color
    return picture


def true_edges(view: FrameView) -> NDArray[np.bool_]:
    """Return (H, W) bool, annotated boundaries if the data have them, else the edges of the true depth."""
    if view.annotated is not None:
        return view.annotated & view.sought
    return depth_edges(view.truth, view.sought, view.boundary)


def predicted_edges(view: FrameView) -> NDArray[np.bool_]:
    """Return (H, W) bool, the edges of the predicted depth, none where no depth is predicted."""
    if view.predicted is None:
        return np.zeros_like(view.evaluated)
    finite = view.sought & np.isfinite(view.predicted)
    return depth_edges(np.where(finite, view.predicted, 0), finite, view.boundary)


def boundary_legend(view: FrameView) -> dict[str, RGB]:
    """Return what the colours mean, by name."""
    source = "annotated" if view.annotated is not None else "of true depth"
    return {f"true ({source})": TRUE, f"found (within {view.boundary.tolerance:g} px)": FOUND, "false": FALSE}


def _distance_to(pixels: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the distance (H, W), in pixels, to the nearest of some pixels (H, W); infinite if there are none."""
    if not pixels.any():
        return np.full(pixels.shape, np.inf, dtype=np.float32)
    return np.asarray(cv2.distanceTransform((~pixels).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
