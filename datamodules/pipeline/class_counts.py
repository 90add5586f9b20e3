"""How often each semantic class occurs in a data set, counted once for all runs."""

from collections.abc import Sequence

import torch

from datamodules.frames import FrameReader
from datamodules.splits import spread
from datamodules.storage.cache import remembered

#: Frames over which classes are counted, at most.
COUNTED_FRAMES = 2000

#: Semantic-MD's hard-coded order of the NYU40 classes on HyperSim, the most frequent first.
SEMANTIC_MD_ORDER = (
    *(1, 2, 22, 9, 38, 5, 3, 40, 7, 6, 13, 8, 35, 20, 4, 14, 39, 18, 11, 12),
    *(10, 23, 19, 36, 15, 25, 34, 17, 24, 21, 32, 16, 27, 29, 26, 33, 30, 31, 37, 28),
)


def class_pixels(reader: FrameReader, frames: Sequence[int], count_frames: int | None = COUNTED_FRAMES) -> list[int]:
    """Return pixels of each class id over some frames, counted once for all runs.

    Args:
        reader: of the frames.
        frames: their positions.
        count_frames: frames that are counted, at most, evenly spread; None counts all.
    """
    chosen = spread(frames, count_frames or len(frames))
    key = f"pixels of classes\n{reader.identity}\n{chosen}"
    counts: list[int] = remembered(key, lambda: count_classes(reader, chosen))
    return counts


def count_classes(reader: FrameReader, positions: Sequence[int]) -> list[int]:
    """Return pixels of each class id in some frames."""
    counts = torch.zeros(0, dtype=torch.int64)
    for position in positions:
        seen = torch.bincount(reader.read(position).maps["semantics"].flatten(), minlength=len(counts))
        seen[: len(counts)] += counts
        counts = seen
    return counts.tolist()
