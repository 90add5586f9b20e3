"""Reads videos frame by frame, as OpenCV's FFmpeg does, or says in one line what is wrong with a file."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datamodules.files import printable, unreadable
from experiments.inference.photo_reader import check_declared_size

#: Endings by which a file is taken for a video.
SUFFIXES = (
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm",
    ".wmv",
)  # fmt: skip

#: Containers of videos, by FFmpeg's names. Those left out hold none, or name further files to open (playlists).
CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,asf,flv,ogg"

#: Frames a second of a video that does not say, or says what cannot be.
USUAL_RATE, HIGHEST_RATE = 25.0, 1000.0

FIX = "take another file, or convert it to MP4"

Frame = NDArray[np.uint8]

# FFmpeg writes to standard error by itself unless it is told not to before it is first used.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


@dataclass(frozen=True)
class Video:
    """A video that was read once, from its beginning to its end.

    Attributes:
        path: its file.
        height: pixels.
        width: pixels.
        rate: frames a second.
        frames: that can be read.
        remarks: what must be said of how it was read.
    """

    path: Path
    height: int
    width: int
    rate: float
    frames: int
    remarks: tuple[str, ...]

    def read(self) -> Iterator[Frame]:
        """Yield the frames (H, W, 3) RGB, turned as the file says, one at a time."""
        with opened(self.path) as capture:
            for _ in range(self.frames):
                there, pixels = capture.read()
                if not there:  # the file has changed since it was looked at
                    raise ValueError(f"{printable(self.path)}: could not be read a second time; {FIX}")
                yield np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))

    def spread(self, count: int) -> Iterator[Frame]:
        """Yield so many frames as :meth:`read` does, evenly spread over the video, or all if there are fewer."""
        wanted = set(np.linspace(0, self.frames - 1, min(count, self.frames)).round().astype(int).tolist())
        with opened(self.path) as capture:
            for number in range(self.frames):
                if number not in wanted:
                    capture.grab()
                elif (read := capture.read())[0]:
                    yield np.asarray(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))


def is_video(path: Path) -> bool:
    """Return whether a file is taken for a video, by its ending."""
    return path.suffix.lower() in SUFFIXES


def look_at(path: Path) -> Video:
    """Return what is in a video; all of it is decoded, for files that were cut off declare more than they hold.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if no frame of it can be read, or frames are too large or too small, in one line.
    """
    with opened(path) as capture:
        declared, given = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
        height, width = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        try:
            check_declared_size(height, width)
        except ValueError as error:
            raise ValueError(f"{printable(path)}: {error}") from error
        there, first = capture.read()
        if not there:
            raise ValueError(f"{printable(path)}: no frame of it can be read; {FIX}")
        height, width = first.shape[:2]
        frames = 1
        while capture.grab():
            if (capture.get(cv2.CAP_PROP_FRAME_HEIGHT), capture.get(cv2.CAP_PROP_FRAME_WIDTH)) != (height, width):
                break
            frames += 1
    known = math.isfinite(given) and 0 < given <= HIGHEST_RATE
    rate = given if known else USUAL_RATE
    remarks: tuple[str, ...] = () if known else (f"says no frame rate that can be: {USUAL_RATE:g} frames a second",)
    if frames + 1 < declared < 1e9:  # containers that estimate their frames are wrong by one
        held = f"{frames} of {declared:.0f} frames ({frames / rate:.1f} s)"
        remarks += (f"cut off or damaged: {held} can be read, and are used",)
    return Video(path, height, width, rate, frames, remarks)


@contextmanager
def opened(path: Path) -> Iterator[cv2.VideoCapture]:
    """Yield an open video.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it cannot be opened, in one line.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{printable(path)}: is no file; name a video")
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"format_whitelist;{CONTAINERS}|protocol_whitelist;file"
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(os.path.realpath(path), cv2.CAP_FFMPEG)  # absolute: a name may look like an address
        try:
            if not capture.isOpened():
                raise unreadable(path, "a video", FIX)
            yield capture
        finally:
            capture.release()
    finally:
        cv2.utils.logging.setLogLevel(level)
