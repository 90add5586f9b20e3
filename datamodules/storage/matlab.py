"""Reads MATLAB files of version 5, which are not HDF5: NYUv2's lists and class mappings, iBims-1's frames."""

from pathlib import Path
from typing import Any

from scipy.io import loadmat

from datamodules.files import FIX, unreadable


def load_matlab5(path: Path, fix: str = FIX) -> dict[str, Any]:
    """Return the content of a MATLAB 5 file, by variable.

    Args:
        path: the file.
        fix: what to do where it is missing or damaged.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged.
    """
    try:
        content: dict[str, Any] = loadmat(path, appendmat=False)
    except Exception as error:  # SciPy raises another class for every way in which a file is damaged
        raise unreadable(path, "a MATLAB 5 file", fix, error) from error
    return content
