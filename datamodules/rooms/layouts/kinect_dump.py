"""The raw dump of a Kinect, as NYU Depth v2's raw sequences hold it: two streams that nobody has synchronised.

A depth file says PGM and 65535, but its two bytes come in the wrong order, the low one first; its values are the
sensor's 11-bit disparity codes.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.rooms.layouts.frame_arrays import Frame, each_frame
from datamodules.rooms.renderer import RenderedScene
from datamodules.rooms.writer import SceneInfo, write_marker

#: depth = NUMERATOR / (OFFSET - code), metres (NYU toolbox, ``camera_params.m``: depthParam1, depthParam2).
NUMERATOR, OFFSET = 351.3, 1092.5

#: Code where the sensor got no answer.
NO_RETURN = 2047

#: Seconds between two frames of a stream, and the clock of the sensor's ticks, Hz.
_PERIOD, _TICKS = 1 / 30, 60e6

#: When the first scene was filmed, and the time between two scenes, seconds.
_START, _PAUSE = 1294886360.208451, 97.0


def write_kinect_dump(folder: Path, scenes: Sequence[SceneInfo], rendered: Iterable[RenderedScene]) -> None:
    """Write a folder per scene with ``r-<time>-<tick>.ppm`` and ``d-<time>-<tick>.pgm``.

    Colour lags behind depth by 3 to 11 ms, and the colour stream has one frame more than depth at its end.

    Args:
        folder: root of the tree.
        scenes: all scenes, in order.
        rendered: their frames, in the same order.

    Raises:
        OSError: if a file cannot be written.
    """
    write_marker(folder, "NYU Depth v2")
    for number, (_, frames) in enumerate(groupby(each_frame(scenes, rendered), key=lambda frame: frame.scene.name)):
        start = _START + _PAUSE * number
        for frame in frames:
            _write(folder, frame, "d", start + frame.number * _PERIOD)
            _write(folder, frame, "r", _colour_time(start, frame.number))
        _write(folder, frame, "r", _colour_time(start, frame.number + 1))


def _colour_time(start: float, number: int) -> float:
    return start + number * _PERIOD + (0.003, 0.007, 0.011)[number % 3]


def disparity_codes(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return the 11-bit codes (H, W) of depth in metres; ``NO_RETURN`` where it is 0 or too near for the sensor."""
    with np.errstate(divide="ignore"):
        codes = np.round(OFFSET - NUMERATOR / depth.astype(np.float64))
    return np.where(codes >= 0, codes, NO_RETURN).astype(np.uint16)


def _write(folder: Path, frame: Frame, stream: str, time: float) -> None:
    """Write the ``d`` or the ``r`` file of a frame."""
    height, width = frame.depth.shape
    magic, largest, suffix = ("P5", 65535, "pgm") if stream == "d" else ("P6", 255, "ppm")
    payload = disparity_codes(frame.measured).astype("<u2") if stream == "d" else frame.rgb
    path = folder / frame.scene.name / f"{stream}-{time:.6f}-{int(time * _TICKS) % 2**32}.{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"{magic} {width} {height} {largest}\n".encode() + payload.tobytes())
