"""One depth map from a file that another program wrote: PNG, NumPy or OpenEXR."""

import io
import zipfile
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datamodules.files import decode_image, printable, read_bytes, unreadable

MEND = "write it again"


def read_map(path: Path, key: str | None = None) -> NDArray:
    """The array that a file holds, as it is.

    Args:
        path: of a suffix in :data:`FORMATS`.
        key: name of the array in an ``.npz`` that holds several.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or cannot be a depth map.
    """
    return FORMATS[path.suffix.lower()](path, key)


def _read_png(path: Path, key: str | None) -> NDArray:
    values = decode_image(path, cv2.IMREAD_UNCHANGED)
    if values.dtype != np.uint16 or values.ndim != 2:
        channels = values.shape[2] if values.ndim == 3 else 1
        raise ValueError(
            f"{printable(path)}: is {8 * values.itemsize}-bit with {channels} channel{'s' * (channels > 1)}, depth is "
            "16-bit grey; write the values, not a picture of them"
        )
    return values


def _read_numpy(path: Path, key: str | None) -> NDArray:
    content = read_bytes(path, MEND)
    try:
        loaded = np.load(io.BytesIO(content))  # of plain numbers: pickles are refused
        if isinstance(loaded, np.ndarray):
            return loaded
        if key is None and len(loaded.files) == 1:
            return loaded[loaded.files[0]]
        if key in loaded.files:
            return loaded[key]
        names = ", ".join(loaded.files)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise unreadable(path, "a NumPy file of plain numbers", MEND, error) from error
    wanted = "holds several arrays" if key is None else f"key `{key}` is missing"
    raise ValueError(f"{printable(path)}: {wanted} (found: {names}); name the one of depth with `--key`")


def _read_exr(path: Path, key: str | None) -> NDArray:
    try:
        openexr = import_module("OpenEXR")  # OpenCV's wheels are built without this format
    except ImportError as error:
        raise ValueError(f"{printable(path)}: to read OpenEXR files, `pip install OpenEXR`") from error
    read_bytes(path, MEND)
    try:
        with openexr.File(str(path)) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items() if name != "A"}
    except (RuntimeError, ValueError) as error:
        raise unreadable(path, "an OpenEXR file", MEND, error) from error
    # R, G and B come as one array of three channels, and with A as one of four
    maps = [map_ for pixels in channels.values() for map_ in np.moveaxis(np.atleast_3d(pixels)[..., :3], -1, 0)]
    if not all(np.array_equal(map_, maps[0], equal_nan=True) for map_ in maps):
        raise ValueError(f"{printable(path)}: its channels ({', '.join(channels)}) differ; write depth as one channel")
    return maps[0]


FORMATS: dict[str, Callable[[Path, str | None], NDArray]] = {
    ".png": _read_png,
    ".npy": _read_numpy,
    ".npz": _read_numpy,
    ".exr": _read_exr,
}
