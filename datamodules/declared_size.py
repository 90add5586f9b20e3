"""The size that a file says it has, looked at before its content is read: a kilobyte can declare a terabyte."""

import math
import struct
from collections.abc import Sequence
from typing import Any

import h5py

#: Pixels that no frame has; the largest released image here has 0.8 million.
MAX_PIXELS = 100_000_000

_PNG = b"\x89PNG\r\n\x1a\n"


def check_declared(shape: Sequence[int], place: str, fix: str, most: int = MAX_PIXELS) -> None:
    """Check the size that a file declares before memory is allocated for it.

    Args:
        shape: of a map, an image or a stack of them, as the file declares it.
        place: file, and key in it.
        fix: what the message advises.
        most: elements that are allowed.

    Raises:
        ValueError: if it has more.
    """
    if math.prod(int(length) for length in shape) > most:
        size = "x".join(f"{int(length)}" for length in shape)
        raise ValueError(f"{place}: declares {size} values, which no frame has; {fix}")


def declared_size(content: bytes) -> tuple[int, int]:
    """Return height and width that a PNG or JPEG file declares; zeros where it is neither or damaged."""
    if content[:8] == _PNG and len(content) >= 24:
        width, height = struct.unpack(">II", content[16:24])
        return height, width
    place = 2 if content[:2] == b"\xff\xd8" else len(content)
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame, of any coding
            height, width = struct.unpack(">HH", content[place + 5 : place + 9])
            return height, width
        place += 1 if marker == 0xFF else 2 + length  # any number of fill bytes may come before a marker
    return 0, 0


def dataset_shape(item: Any, place: str, fix: str) -> tuple[int, ...]:
    """Return the shape of an array of an HDF5 file.

    Args:
        item: what the file has under a key.
        place: file and key.
        fix: what the message advises.

    Raises:
        ValueError: if it is no array, or has no content (HDF5's null dataspace).
    """
    if not isinstance(item, h5py.Dataset):
        raise ValueError(f"{place} is a group, not an array; {fix}")
    if item.shape is None:
        raise ValueError(f"{place} is an empty array (a null dataspace); {fix}")
    return tuple(item.shape)
