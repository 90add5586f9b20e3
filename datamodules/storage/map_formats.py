"""One map of depth from a file that any program wrote: PNG, TIFF, PFM, NumPy or OpenEXR."""

import io
import math
import re
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from datamodules.declared_size import MAX_PIXELS, check_declared
from datamodules.files import printable, read_bytes, unreadable
from datamodules.storage.images import decode_image

FIX = "write it again"

NUMPY_FORM = "a NumPy file of plain numbers"

#: Magic number, width, height, and a scale whose sign tells the byte order.
_PFM_HEADER = re.compile(rb"P([fF])\s+(\d{1,5})\s+(\d{1,5})\s+([-+.eE\d]+)\s")


def read_map(path: Path, key: str | None = None) -> NDArray:
    """Return the array that a file holds, as it is.

    Args:
        path: of a suffix in :data:`FORMATS`.
        key: name of the array in an ``.npz`` that holds several.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or cannot be a depth map.
    """
    return FORMATS[path.suffix.lower()](path, key)


def _read_image(path: Path, key: str | None) -> NDArray:
    values = decode_image(path, cv2.IMREAD_UNCHANGED)
    if (values.dtype != np.uint16 and values.dtype.kind != "f") or values.ndim != 2:
        channels = values.shape[2] if values.ndim == 3 else 1
        raise ValueError(
            f"{printable(path)}: is {8 * values.itemsize}-bit with {channels} channel{'s' * (channels > 1)}, depth is "
            "16-bit grey, or floats in TIFF; write the values, not a picture of them"
        )
    return values


def _read_pfm(path: Path, key: str | None) -> NDArray:
    content = read_bytes(path, FIX)
    header = _PFM_HEADER.match(content)
    if header is None:
        raise ValueError(f"{printable(path)}: truncated, or not a PFM file ({len(content):,} bytes); {FIX}")
    if header[1] == b"F":
        raise ValueError(f"{printable(path)}: is a colour image (`PF`), depth has one channel (`Pf`); {FIX}")
    width, height = int(header[2]), int(header[3])
    values = content[header.end() :]
    if len(values) != 4 * width * height:
        raise ValueError(
            f"{printable(path)}: truncated, or too long: {len(values):,} bytes for {height}x{width} values; {FIX}"
        )
    order = "<" if header[4].startswith(b"-") else ">"
    return np.frombuffer(values, f"{order}f4").reshape(height, width)[::-1]  # rows come from the lowest up


def _read_npy(path: Path, key: str | None) -> NDArray:
    values = open_npy(path)
    check_declared(values.shape, printable(path), FIX)
    return np.array(values)


def open_npy(path: Path) -> NDArray:
    """Return the array of an ``.npy`` file, of which no more is read than is asked for.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or holds no plain numbers.
    """
    try:
        values = np.load(path, mmap_mode="r")  # pickles are refused
        if not isinstance(values, np.ndarray):
            raise ValueError("an archive under another name")
    except Exception as error:  # NumPy raises another class for every way in which a file is damaged
        raise unreadable(path, NUMPY_FORM, FIX, error) from error
    return values


def _read_npz(path: Path, key: str | None) -> NDArray:
    return read_npz(path, key, MAX_PIXELS)


def read_npz(path: Path, key: str | None, most: int) -> NDArray:
    """Return one array of an ``.npz`` file.

    Args:
        path: the file.
        key: name of the array, where there are several.
        most: elements that it may declare.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, encrypted, not of plain numbers or too large, or the array is not there.
    """
    content = read_bytes(path, FIX)
    declared: tuple[int, ...] = ()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            chosen = names[0] if key is None and len(names) == 1 else key
            if chosen in names:
                with archive.open(archive.namelist()[names.index(chosen)]) as member:
                    version = npy.read_magic(member)
                    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                    declared = read_header(member)[0]
                if math.prod(declared) <= most:
                    return np.load(io.BytesIO(content))[chosen]
    except Exception as error:  # of a damaged member the zip module, its codecs and NumPy raise whatever they like
        if "encrypted" in str(error):
            raise ValueError(f"{printable(path)}: is encrypted; write it without a password") from error
        if isinstance(error, MemoryError):
            raise ValueError(f"{printable(path)}: `{chosen}` of {declared} does not fit into memory; {FIX}") from error
        raise unreadable(path, NUMPY_FORM, FIX, error) from error
    check_declared(declared, printable(path), FIX, most)
    wanted = "holds several arrays" if key is None else f"key `{key}` is missing"
    raise ValueError(f"{printable(path)}: {wanted} (found: {', '.join(names)}); name the one of depth with `--key`")


def _read_exr(path: Path, key: str | None) -> NDArray:
    try:
        openexr = import_module("OpenEXR")  # OpenCV's wheels are built without this format
    except ImportError as error:
        raise ValueError(f"{printable(path)}: to read OpenEXR files, `pip install OpenEXR`") from error
    read_bytes(path, FIX)
    try:
        with openexr.File(str(path)) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items() if name != "A"}
    except Exception as error:  # RuntimeError, ValueError, or what NumPy makes of an absurd size
        raise unreadable(path, "an OpenEXR file", FIX, error) from error
    # R, G and B come as one array of three channels, and with A as one of four
    maps = [map_ for pixels in channels.values() for map_ in np.moveaxis(np.atleast_3d(pixels)[..., :3], -1, 0)]
    if not all(np.array_equal(map_, maps[0], equal_nan=True) for map_ in maps):
        raise ValueError(f"{printable(path)}: its channels ({', '.join(channels)}) differ; write depth as one channel")
    return maps[0]


FORMATS: dict[str, Callable[[Path, str | None], NDArray]] = {
    ".png": _read_image,
    ".tif": _read_image,
    ".tiff": _read_image,
    ".pfm": _read_pfm,
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".exr": _read_exr,
}
