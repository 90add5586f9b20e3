"""How the picture moves from one frame of a video to the next, and which of its pixels can be followed."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from experiments.inference.photo_pictures import averaged
from experiments.inference.video_reader import Frame

#: Pixels of the longer side at which motion is found, and of the shorter one at least: OpenCV's method fails on less.
LONGEST, SHORTEST = 640, 32

#: Pixels, at that size, that a point may move between two frames and still count as one that stands still.
STILL = 0.5

#: How far the flow forth may be from undoing the flow back: share of the squared lengths, and squared pixels (Sundaram
#: et al. 2010, ECCV, equation 5).
SHARE, SLACK = 0.01, 0.5


@dataclass(frozen=True)
class Motion:
    """How a frame moved since the one before, on a smaller grid (h, w).

    Attributes:
        flow: (h, w, 2) float32, where each pixel was in the frame before: columns and rows to add to its own.
        followed: (h, w) bool, pixels that flow forth and back leads to the same place.
        still: (h, w) bool, those of them that moved by :data:`STILL` pixels at most.
    """

    flow: NDArray[np.float32]
    followed: NDArray[np.bool_]
    still: NDArray[np.bool_]

    def from_before(self, before: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a map (H, W) of the frame before, brought along to this frame; NaN where pixels are not followed.

        Args:
            before: at any size.
        """
        height, width = before.shape
        rows, columns = self.flow.shape[:2]
        zoom = np.array([width / columns, height / rows], dtype=np.float32)
        flow = np.asarray(cv2.resize(self.flow, (width, height)), dtype=np.float32) * zoom
        there = cv2.resize(self.followed.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
        x, y = places(flow)
        moved = cv2.remap(before, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.where(there, moved, np.float32(np.nan))


class MotionFinder:
    """Finds motion by DIS optical flow (Kroeger et al. 2016; OpenCV, preset medium), forth and back."""

    def __init__(self) -> None:
        self._method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def find(self, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Motion:
        """Return how a frame moved since the one before.

        Args:
            before: of :func:`grey`.
            after: the same of the frame.
        """
        back = self._method.calc(after, before, None)  # type: ignore[call-overload]
        forth = self._method.calc(before, after, None)  # type: ignore[call-overload]
        height, width = after.shape
        x, y = places(back)
        returned = cv2.remap(forth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        missed = np.square(back + returned).sum(-1)
        lengths = np.square(back).sum(-1) + np.square(returned).sum(-1)
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        followed = inside & (missed < SHARE * lengths + SLACK)
        return Motion(back, followed, followed & (np.square(back).sum(-1) <= STILL**2))


def places(flow: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return column and row, (h, w) each, where a flow (h, w, 2) leads to from every pixel."""
    height, width = flow.shape[:2]
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32).reshape(-1, 1)
    x, y = flow[..., 0] + columns, flow[..., 1] + rows
    return x, y


def grey(frame: Frame) -> NDArray[np.uint8]:
    """Return a frame (H, W, 3) in grey, at the size at which motion is found."""
    small = cv2.cvtColor(averaged(frame, LONGEST), cv2.COLOR_RGB2GRAY)
    zoom = SHORTEST / min(small.shape)
    if zoom > 1:
        small = cv2.resize(small, None, fx=zoom, fy=zoom)
    return np.asarray(small)
