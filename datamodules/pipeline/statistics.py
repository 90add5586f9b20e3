"""What is counted over frames: median depth, focal lengths, pixels of classes, and how coarse depth is."""

import math
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import torch

from datamodules.frames import FrameReader
from datamodules.splits import spread
from datamodules.storage.cache import remembered

#: Frames that the median of depth is taken of, at most.
STATISTICS_FRAMES = 1500

#: Frames whose depth is looked at for its levels, at most, and the levels of 8 bits.
PROBED_FRAMES, EIGHT_BITS = 8, 256

#: Pixels seen of a level, at least: of fewer, each has a depth of its own however fine depth is.
PIXELS_OF_LEVEL = 2


def depth_median(reader: FrameReader, positions: Sequence[int]) -> float:
    """Return the median of all valid depths of some frames, at native size, in metres, exact to 1 mm.

    It is computed once for all runs, of at most :data:`STATISTICS_FRAMES` frames, evenly spread.

    Args:
        reader: of the frames.
        positions: of the frames, at least one.
    """
    chosen = spread(positions, STATISTICS_FRAMES)
    key = f"median depth\n{reader.identity}\n{chosen}"
    return float(remembered(key, lambda: _depth_median(reader, chosen)))


def _depth_median(reader: FrameReader, positions: Sequence[int]) -> float:
    """Return it from a histogram in millimetres."""
    counts = np.zeros(0, dtype=np.int64)
    for position in positions:
        depth = reader.read_depth(position)
        millimetres = (depth[depth > 0].double() * 1000).round().long().numpy()
        added = np.bincount(millimetres, minlength=len(counts))
        added[: len(counts)] += counts
        counts = added
    cumulative = np.cumsum(counts)
    middle = [(cumulative[-1] - 1) // 2, cumulative[-1] // 2]
    return float(np.searchsorted(cumulative, middle, side="right").mean() / 1000)


def focal_lengths(reader: FrameReader, positions: Sequence[int]) -> list[tuple[float, float]]:
    """Return focal lengths of some frames' cameras along rows and columns, as shares of width and height.

    Of at most :data:`PROBED_FRAMES` frames, evenly spread; those that cannot be read, or whose camera is not known, are
    left out.

    Args:
        reader: of the frames.
        positions: of the frames.
    """
    found = []
    for position in spread(positions, PROBED_FRAMES):
        with suppress(OSError, ValueError):  # told where the frame is used
            frame = reader.read(position)
            height, width = frame.size
            focal = abs(float(frame.intrinsics[0, 0])) / width, abs(float(frame.intrinsics[1, 1])) / height
            if all(math.isfinite(value) and value > 0 for value in focal):
                found.append(focal)
    return found


def by_frequency(counts: Sequence[int], classes: int) -> list[int]:
    """Return the ids 1 to ``classes``, the most frequent first; ties and classes that never occur by their ids.

    Args:
        counts: pixels of each class, id ``i`` at ``i``; classes beyond its end have none.
        classes: number of classes.
    """
    return sorted(range(1, classes + 1), key=lambda id_: -counts[id_] if id_ < len(counts) else 0)


def coarse_levels(reader: FrameReader, positions: Sequence[int]) -> int | None:
    """Return the number of different depths in some frames where 8 bits hold them, else None.

    Of at most :data:`PROBED_FRAMES` frames, evenly spread; those that cannot be read are left out.

    Args:
        reader: of the frames.
        positions: of the frames.
    """
    seen = []
    for position in spread(positions, PROBED_FRAMES):
        with suppress(OSError, ValueError):  # told where the frame is used
            depth = reader.read_depth(position)[..., ::2, ::2]
            seen.append(depth[depth > 0])
    pixels = torch.cat(seen) if seen else torch.zeros(0)
    levels = len(pixels.unique())
    return levels if 0 < levels <= EIGHT_BITS and len(pixels) >= PIXELS_OF_LEVEL * levels else None
