"""Writes a video: each frame beside its depth in colours, with one scale for all."""

import errno
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from callbacks.pictures.colors import Picture, depth_picture
from datamodules.files import WriteError, printable
from experiments.inference.photo_files import FIX
from experiments.inference.photo_pictures import scale_bar
from experiments.inference.video_reader import Frame

#: Colours between the two ends of the scale.
SHADES = 1024

#: MPEG-4 part 2, which OpenCV's wheels can write everywhere; H.264 they cannot.
CODEC = "mp4v"


class SideBySide:
    """A video that is being written: frame, depth in colours, and a bar with metres, from left to right.

    Frame and depth keep the size of the frames. Where that is odd, one white row or column is added at the edge, for
    video has even sides.

    Args:
        path: the file.
        rate: frames a second.
        size: height and width of the frames.
        scale: metres where colours begin and end.
    """

    def __init__(self, path: Path, rate: float, size: tuple[int, int], scale: tuple[float, float]):
        self.path, self.size, self.scale, self.frames = path, size, scale, 0
        self._shades = depth_picture(np.linspace(*scale, SHADES)[None], *scale)[0]
        bar = scale_bar(size[0], *scale, depth_picture)
        self._canvas = np.full((even(size[0]), even(2 * size[1] + bar.shape[1]), 3), 255, np.uint8)
        self._canvas[: size[0], 2 * size[1] : 2 * size[1] + bar.shape[1]] = bar
        fourcc = cv2.VideoWriter.fourcc(*CODEC)
        self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, fitting_rate(rate), self._canvas.shape[1::-1])
        if not self._writer.isOpened():
            raise WriteError(errno.EIO, f"{printable(path)}: cannot be written; {FIX}")

    def write(self, frame: Frame, depth: NDArray[np.float32]) -> None:
        """Add a frame (H, W, 3) RGB and its depth (H, W) in metres; black where it is not finite."""
        height, width = self.size
        self._canvas[:height, :width] = frame
        self._canvas[:height, width : 2 * width] = self.colored(depth)
        self._writer.write(cv2.cvtColor(self._canvas, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def colored(self, depth: NDArray[np.float32]) -> Picture:
        """Return depth (H, W) in colours."""
        low, high = self.scale
        known = np.isfinite(depth)
        share = (np.where(known, depth, low) - low) / max(high - low, 1e-6)
        colors = self._shades[(share.clip(0, 1) * (SHADES - 1)).round().astype(np.intp)]
        colors[~known] = 0
        return colors

    def close(self) -> None:
        """Finish the file.

        Raises:
            WriteError: if it does not hold all frames: OpenCV does not say that a disk is full.
        """
        self._writer.release()
        written = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        count = written.get(cv2.CAP_PROP_FRAME_COUNT) if written.isOpened() else 0
        written.release()
        if count != self.frames:
            raise WriteError(errno.EIO, f"{printable(self.path)}: holds {count:.0f} of {self.frames} frames; {FIX}")

    def abandon(self) -> None:
        """Close the file as it is."""
        self._writer.release()


def fitting_rate(rate: float) -> float:
    """Return the nearest rate, frames a second, that a file can hold: MPEG-4 divides a second by 65,535 at most."""
    return round(rate, 3 if rate < 65 else 2 if rate < 655 else 1)


def even(length: int) -> int:
    """Return the smallest even number that is not below a length in pixels."""
    return length + length % 2
