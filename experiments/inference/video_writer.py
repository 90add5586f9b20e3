"""Writes a video: each frame beside its depth in colours, with one scale for all."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from callbacks.pictures.colors import Picture, colorize, depth_picture
from datamodules.files import WriteError, printable
from experiments.inference.photo_choices import Format
from experiments.inference.photo_files import FIX, write_depth
from experiments.inference.photo_pictures import scale_bar
from experiments.inference.video_reader import Frame

#: Colours between the two ends of the scale.
SHADES = 1024

Map = NDArray[np.float32]

#: MPEG-4 part 2, which OpenCV's wheels can write everywhere; H.264 they cannot.
CODEC = "mp4v"


@dataclass(frozen=True)
class Scales:
    """Where the colours of a whole video begin and end, in metres.

    Attributes:
        depth: near and far.
        uncertainty: far end of the uncertainty's, which begin at 0; None where there is none.
    """

    depth: tuple[float, float]
    uncertainty: float | None = None


class SideBySide:
    """A video that is being written: frame, depth in colours, and a bar with metres, from left to right.

    With uncertainty it stands behind that, with a bar of its own.

    Frame and depth keep the size of the frames. Where that is odd, one white row or column is added at the edge, for
    video has even sides.

    Args:
        path: the file.
        rate: frames a second.
        size: height and width of the frames.
        scales: where colours begin and end.
    """

    def __init__(self, path: Path, rate: float, size: tuple[int, int], scales: Scales):
        self.path, self.size, self.scales, self.frames = path, size, scales, 0
        self._panels = [Panel(size, scales.depth, depth_picture)]
        if scales.uncertainty is not None:
            paint = partial(colorize, colormap="magma")
            self._panels.append(Panel(size, (0.0, scales.uncertainty), paint, digits=3))
        width = size[1] + sum(panel.width for panel in self._panels)
        self._canvas = np.full((even(size[0]), even(width), 3), 255, np.uint8)
        fourcc = cv2.VideoWriter.fourcc(*CODEC)
        self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, fitting_rate(rate), self._canvas.shape[1::-1])
        if not self._writer.isOpened():
            raise WriteError(errno.EIO, f"{printable(path)}: cannot be written; {FIX}")

    def write(self, frame: Frame, depth: Map, uncertainty: Map | None = None) -> None:
        """Add a frame (H, W, 3) RGB, its depth and that one's uncertainty (H, W), metres; black where not finite."""
        height, left = self.size
        self._canvas[:height, :left] = frame
        for panel, map_ in zip(self._panels, (depth, uncertainty), strict=False):
            assert map_ is not None
            self._canvas[:height, left : left + panel.width] = panel.draw(map_)
            left += panel.width
        self._writer.write(cv2.cvtColor(self._canvas, cv2.COLOR_RGB2BGR))
        self.frames += 1

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


class Panel:
    """A map in colours with its bar, the same for all frames.

    Args:
        size: height and width of the maps.
        ends: metres where colours begin and end.
        paint: of values (H, W), low and high to colours.
        digits: of the marks at the bar, after the point.
    """

    def __init__(
        self, size: tuple[int, int], ends: tuple[float, float], paint: Callable[..., Picture], *, digits: int = 2
    ):
        self.ends, self._columns = ends, size[1]
        self._shades = paint(np.linspace(*ends, SHADES)[None], *ends)[0]
        bar = scale_bar(size[0], *ends, paint, digits=digits)
        self.width = size[1] + bar.shape[1]
        self._picture = np.full((size[0], self.width, 3), 255, np.uint8)
        self._picture[:, size[1] :] = bar

    def draw(self, map_: Map) -> Picture:
        """Return a map (H, W) in colours, with the bar at its right."""
        low, high = self.ends
        known = np.isfinite(map_)
        share = (np.where(known, map_, low) - low) / max(high - low, 1e-6)
        colors = self._shades[(share.clip(0, 1) * (SHADES - 1)).round().astype(np.intp)]
        colors[~known] = 0
        self._picture[:, : self._columns] = colors
        return self._picture


class FrameFiles:
    """The maps of each frame, as files of its number from 0: ``depth/000000.png``, and ``uncertainty/`` alike.

    Args:
        folder: of the video.
        formats: of each map.
    """

    def __init__(self, folder: Path, formats: list[Format]):
        self.folder, self.formats, self.count = folder, formats, 0

    def write(self, depth: Map, uncertainty: Map | None = None) -> None:
        """Write the maps (H, W), metres, of the next frame; raises WriteError if that fails."""
        for name, map_ in (("depth", depth), ("uncertainty", uncertainty)):
            if map_ is not None:
                (self.folder / name).mkdir(exist_ok=True)
                write_depth(self.folder / name, map_, self.formats, f"{self.count:06d}")
        self.count += 1


def fitting_rate(rate: float) -> float:
    """Return the nearest rate, frames a second, that a file can hold: MPEG-4 divides a second by 65,535 at most."""
    return round(rate, 3 if rate < 65 else 2 if rate < 655 else 1)


def even(length: int) -> int:
    """Return the smallest even number that is not below a length in pixels."""
    return length + length % 2
