"""Reads single files, or says in one line which file is wrong, why, and what to do."""

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import cv2
import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MEND = "fetch or make it again"

#: A file of this name says that a folder in another data set's format holds Rooms, the built-in synthetic set.
ROOMS_MARKER = "ROOMS.txt"


def printable(path: Path | str) -> str:
    """A path as text that any terminal and log can hold; bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")


def read_bytes(path: Path) -> bytes:
    """Content of a file.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is empty or cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{printable(path)} is missing; {MEND}") from error
    except OSError as error:
        raise ValueError(f"{printable(path)}: cannot be read ({error.strerror}); {MEND}") from error
    if not content:
        raise ValueError(f"{printable(path)}: has no content (0 bytes); {MEND}")
    return content


def decode_image(path: Path, flags: int) -> NDArray[Any]:
    """Pixels of an image file as OpenCV decodes them, BGR or one channel.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged. OpenCV itself fills the missing rows of a truncated JPEG or PNG with grey or
            black; the end marker of both formats tells.
    """
    content = read_bytes(path)
    pixels = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), flags)
    truncated = (content[:2] == b"\xff\xd8" and b"\xff\xd9" not in content[-64:]) or (
        content[:4] == b"\x89PNG" and b"IEND" not in content[-64:]
    )
    if pixels is None or truncated or 0 in pixels.shape:
        raise ValueError(f"{printable(path)}: truncated, or not an image ({len(content):,} bytes); {MEND}")
    return pixels


def read_rgb(path: Path) -> Tensor:
    """RGB image (3, H, W) uint8.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged.
    """
    bgr = decode_image(path, cv2.IMREAD_COLOR)
    return torch.from_numpy(np.ascontiguousarray(bgr[..., ::-1].transpose(2, 0, 1)))


def read_depth_png(path: Path, unit: float = 1e-3) -> NDArray[np.float32]:
    """Depth (H, W) in metres of a 16-bit PNG with ``unit`` metres a step; 0 is a hole.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or not 16-bit grey.
    """
    values = decode_image(path, cv2.IMREAD_UNCHANGED)
    if values.dtype != np.uint16 or values.ndim != 2:
        raise ValueError(
            f"{printable(path)}: is {values.dtype} {values.shape}, depth is 16-bit grey; take the lossless original"
        )
    return values.astype(np.float32) * np.float32(unit)


def read_hdf5(
    path: Path, kind: Literal["float", "integer"], shape: tuple[int | None, ...], key: str = "dataset"
) -> NDArray[Any]:
    """An HDF5 file's one array.

    Args:
        path: the file.
        kind: of its dtype.
        shape: its shape; None stands for any length but 0.
        key: name of the array.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or key, dtype or shape are others.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{printable(path)} is missing; {MEND}")
    try:
        with h5py.File(path) as file:
            if key not in file:
                raise ValueError(f"{printable(path)}: key `{key}` is missing (found: {', '.join(file)}); {MEND}")
            array = file[key][()]
    except OSError as error:
        raise ValueError(
            f"{printable(path)}: truncated, or not an HDF5 file ({path.stat().st_size:,} bytes); {MEND}"
        ) from error
    if array.dtype.kind not in {"float": "f", "integer": "iu"}[kind]:
        raise ValueError(f"{printable(path)}: key `{key}` is {array.dtype}, not {kind}; {MEND}")
    fits = len(array.shape) == len(shape) and all(a == s or s is None for a, s in zip(array.shape, shape, strict=True))
    if not fits or 0 in array.shape:
        wanted = tuple("any" if length is None else length for length in shape)
        raise ValueError(f"{printable(path)}: key `{key}` is {array.shape}, not {wanted}; {MEND}")
    return array


def read_lines(path: Path, origin: str) -> list[str]:
    """Lines of a text file, stripped, empty ones left out.

    Args:
        path: the file.
        origin: where a user gets it.

    Raises:
        FileNotFoundError: if it is missing, saying where it comes from.
        ValueError: if it is empty, or not UTF-8, naming the line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{printable(path)} is missing: {origin}")
    content = path.read_bytes()
    try:
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{printable(path)}: line {number} is not UTF-8 text; save the file as UTF-8") from error
    if not lines:
        raise ValueError(f"{printable(path)}: names no frame; {origin}")
    return lines


def write_text_atomically(path: Path, text: str) -> None:
    """Write a text file that appears when it is whole, in a folder that is made where it is not there.

    Raises:
        OSError: if it cannot be written, naming it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8") as file:
            file.write(text)
        os.replace(file.name, path)
    except OSError as error:
        raise OSError(f"{printable(path)}: cannot be written ({error.strerror}); choose another place") from error


def missing_files(paths: Iterable[Path]) -> list[Path]:
    """Those of many files that are not there, in order.

    Lists each folder once, which on a network drive is many times faster than asking for each file.
    """
    paths = list(paths)
    wanted: dict[Path, set[str]] = defaultdict(set)
    for path in paths:
        wanted[path.parent].add(path.name)
    present = {folder: set(os.listdir(folder)) if folder.is_dir() else set() for folder in wanted}
    return [path for path in paths if path.name not in present[path.parent]]


def require_files(paths: Iterable[Path], named_by: Path) -> None:
    """Check that files are there.

    Raises:
        FileNotFoundError: if some are not, naming the first, how many, and the list that names them.
    """
    if missing := missing_files(paths):
        raise FileNotFoundError(
            f"{printable(missing[0])} is missing, one of {len(missing)} files that {printable(named_by)} names; "
            "complete the data, or take the lines out of the list"
        )
