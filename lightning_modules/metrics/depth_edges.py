"""Edges of a depth map, by Canny's detector."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.feature import canny

from lightning_modules.metrics.boundary_protocol import BoundaryProtocol


def depth_edges(depth: NDArray[np.float64], valid: NDArray[np.bool_], protocol: BoundaryProtocol) -> NDArray[np.bool_]:
    """Return the Canny edges of a depth map, normalised to [0, 1] over its evaluated pixels.

    A depth of exactly 0 means "no prediction" (iBims-1): no edge is found within reach of the smoothing. A constant
    map has no edge.

    Args:
        depth: (H, W), finite where valid.
        valid: (H, W), the evaluated pixels; there are no edges elsewhere.
        protocol: smoothing, thresholds and backend.

    Returns:
        (H, W) bool, true on an edge.
    """
    known = valid & (depth != 0)
    low, high = depth.min(where=known, initial=np.inf), depth.max(where=known, initial=-np.inf)
    if not low < high:
        return np.zeros_like(valid)
    normalised = np.where(known, (depth - low) / (high - low), np.nan)
    if protocol.backend == "cv2":
        return _opencv_edges(normalised, protocol)
    # The mask keeps what is not evaluated out of the smoothing; unknown pixels inside it spread as NaN.
    mask = None if valid.all() else valid  # a full one changes no bit and costs a third more
    return canny(normalised, protocol.sigma, protocol.low, protocol.high, mask=mask)


def _opencv_edges(normalised: NDArray[np.float64], protocol: BoundaryProtocol) -> NDArray[np.bool_]:
    unknown = np.isnan(normalised)
    levels = np.rint(255 * np.where(unknown, 0.0, normalised)).astype(np.uint8)
    radius = math.ceil(3 * protocol.sigma)
    size = (2 * radius + 1, 2 * radius + 1)
    smooth = cv2.GaussianBlur(levels, size, protocol.sigma)
    edges = cv2.Canny(smooth, 255 * protocol.low, 255 * protocol.high, apertureSize=3, L2gradient=True) > 0
    edges[[0, -1]] = edges[:, [0, -1]] = False  # scikit-image finds none on the frame's border
    # The step from a known to an unknown pixel is no edge of the scene; + 1 for the reach of the Sobel filter.
    reach = np.ones((2 * radius + 3, 2 * radius + 3), np.uint8)
    return edges & (cv2.dilate(unknown.astype(np.uint8), reach) == 0)
