"""What ``nyu_depth_v2_labeled.mat`` looks like on disk: names, axes, dtypes, class ids, camera.

Silberman, Hoiem, Kohli, Fergus, "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012. The file is
MATLAB 7.3, that is HDF5 behind a 512-byte user block, and h5py shows MATLAB's axes reversed: a 480x640x1449 array reads
as (1449, 640, 480), so that a frame is transposed, not rotated, to height x width. The reader and the Rooms writer both
stand on this page.
"""

import csv
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

LABELED_FILE = "nyu_depth_v2_labeled.mat"
SPLITS_FILE = "splits.mat"
CLASS_MAPPING_FILE = "classMapping40.mat"

#: Bytes of the MATLAB user block in front of the HDF5 data.
USER_BLOCK_BYTES = 512

#: HDF5 dtype of every numeric key, and the MATLAB class that its ``MATLAB_class`` attribute names.
NUMERIC_KEYS: dict[str, tuple[str, str]] = {
    "images": ("uint8", "uint8"),  # (N, 3, W, H)
    "depths": ("float32", "single"),  # (N, W, H) metres, in-painted, no zero
    "rawDepths": ("float32", "single"),  # (N, W, H) metres, 0 = hole
    "labels": ("uint16", "uint16"),  # (N, W, H) 0 = unlabelled, 1..894
    "instances": ("uint8", "uint8"),  # (N, W, H) 0 = none; counted per class: an object is a (label, instance) pair
    "accelData": ("float32", "single"),  # (4, N) roll, yaw, pitch, tilt
}

#: Keys that hold object references to (length, 1) uint16 character arrays: (1, 894) for names, (1, N) for the others.
CELL_KEYS = ("names", "scenes", "sceneTypes", "rawDepthFilenames", "rawRgbFilenames")

#: Frame size at which the camera below is given.
HEIGHT, WIDTH = 480, 640

#: fx, fy, cx, cy of the RGB camera at 640x480, pixels (NYU toolbox, ``camera_params.m``).
CAMERA = (518.857901, 519.469611, 325.582449, 253.736166)


def intrinsics(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.float32]:
    """Pinhole matrix (3, 3) of the NYUv2 RGB camera for frames resized to ``height`` x ``width``.

    Pixel centres lie at integer coordinates, hence the half-pixel terms of the principal point.
    """
    fx, fy, cx, cy = CAMERA
    sx, sy = width / WIDTH, height / HEIGHT
    matrix = [[fx * sx, 0, (cx + 0.5) * sx - 0.5], [0, fy * sy, (cy + 0.5) * sy - 0.5], [0, 0, 1]]
    return np.asarray(matrix, dtype=np.float32)


@cache
def _class_table() -> tuple[tuple[str, ...], tuple[int, ...], dict[int, str]]:
    with files("datamodules").joinpath("nyu894_to_40.csv").open("r", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names40 = {int(row["nyu40_id"]): row["name40"] for row in rows}
    return tuple(row["name894"] for row in rows), tuple(int(row["nyu40_id"]) for row in rows), names40


def names894() -> tuple[str, ...]:
    """The 894 fine class names; the name of id ``i`` is at ``i - 1``."""
    return _class_table()[0]


def names40() -> dict[int, str]:
    """NYU40 class names by id, 1..40 (Gupta et al., CVPR 2013)."""
    return dict(sorted(_class_table()[2].items()))


def load_matlab5(path: Path) -> dict[str, Any]:
    """Content of one of the small files, ``splits.mat`` or ``classMapping40.mat``, which are MATLAB 5, not HDF5.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: put the file of that name from the NYU Depth Dataset V2 there")
    try:
        content: dict[str, Any] = loadmat(path)
    except Exception as error:  # SciPy raises another class for every way in which a file is damaged
        raise ValueError(f"{path}: truncated, or not a MATLAB 5 file; fetch or make it again") from error
    return content


def nyu40_lookup(mapping_file: Path | None = None) -> NDArray[np.uint8]:
    """Table (895,) from fine id 0..894 to NYU40 id; entry 0, unlabelled, stays 0.

    Args:
        mapping_file: a ``classMapping40.mat``; None takes the table that comes with the package (the same values).

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the file is damaged, or has no ``mapClass`` of 894 ids in 1..40.
    """
    if mapping_file is None:
        mapped = np.asarray(_class_table()[1], dtype=np.uint8)
    else:
        mapped = np.asarray(load_matlab5(mapping_file).get("mapClass", [])).ravel()
        if mapped.size != 894 or mapped.min() < 1 or mapped.max() > 40:
            raise ValueError(
                f"{mapping_file}: key `mapClass` must hold 894 ids in 1..40; use Gupta's classMapping40.mat"
            )
    return np.concatenate([[0], mapped]).astype(np.uint8)
