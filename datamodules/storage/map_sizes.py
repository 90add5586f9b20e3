"""Height and width of images and maps, told without reading them where the format allows it."""

from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

from datamodules.declared_size import declared_size
from datamodules.files import FIX, printable, unreadable
from datamodules.storage.images import decode_image
from datamodules.storage.map_formats import open_npy, read_map

#: Bytes in which a JPEG or PNG file says its size, but for those with long comments.
HEAD = 1 << 16


def read_size(path: Path) -> tuple[int, int]:
    """Return height and width of an image or map, of most formats without reading it all.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged.
    """
    if path.suffix.lower() == ".npy":
        return _map_size(open_npy(path), path)
    try:
        with path.open("rb") as file:
            size = declared_size(file.read(HEAD))
    except OSError as error:
        raise unreadable(path, "an image", FIX, error) from error
    if size != (0, 0):
        return size
    if path.suffix.lower() in (".npz", ".exr", ".pfm"):
        return _map_size(read_map(path), path)
    height, width = decode_image(path, cv2.IMREAD_UNCHANGED).shape[:2]
    return height, width


def _map_size(values: NDArray[Any], path: Path) -> tuple[int, int]:
    height, width = flat(values, path).shape
    return height, width


def flat(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return a map (H, W), also of (1, H, W) and (H, W, 1); raises ValueError for another shape."""
    shape = values.shape
    if len(shape) == 3 and 1 in (shape[0], shape[2]):
        values = values.squeeze(0 if shape[0] == 1 else 2)
    if values.ndim != 2 or 0 in shape:
        raise ValueError(f"{printable(path)}: is {shape}, one value a pixel is (height, width); write the values alone")
    return values


def known_size(path: Path) -> tuple[int, int] | None:
    """Return height and width; None for a file that cannot be read, which is said where it is used."""
    try:
        return read_size(path)
    except (OSError, ValueError):
        return None
