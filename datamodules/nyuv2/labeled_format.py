"""What ``nyu_depth_v2_labeled.mat`` looks like on disk: names, axes, dtypes, class ids, camera.

Silberman, Hoiem, Kohli, Fergus, "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012. The file is
MATLAB 7.3, that is HDF5 behind a 512-byte user block, and h5py shows MATLAB's axes reversed: a 480x640x1449 array reads
as (1449, 640, 480), so that a frame is transposed, not rotated, to height x width. The reader and the Rooms writer both
stand on this page.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.classes import FINE_CLASSES, NAMES40
from datamodules.files import printable
from datamodules.storage.matlab import load_matlab5

LABELED_FILE = "nyu_depth_v2_labeled.mat"
SPLITS_FILE = "splits.mat"

#: The labelled file of NYU Depth v1 (Silberman, Fergus, ICCVW 2011), of the same form but without instances.
V1_FILE = "nyu_depth_data_labeled.mat"
CLASS_MAPPING_FILE = "classMapping40.mat"

CLASS13_MAPPING_FILE = "class13Mapping.mat"

#: Where the small files come from.
ORIGINS = {
    SPLITS_FILE: "put the `splits.mat` of the NYU Depth Dataset V2 page there (cs.nyu.edu/~fergus/datasets)",
    CLASS_MAPPING_FILE: "put Gupta's 894 to 40 class mapping there (github.com/ankurhanda/nyuv2-meta-data has it)",
    CLASS13_MAPPING_FILE: "put the 40 to 13 class mapping there (github.com/ankurhanda/nyuv2-meta-data has it)",
}

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

#: Where depth is read from: measured with holes, in-painted, or the former where a layout has it.
DepthSource = Literal["auto", "raw", "filled"]

#: What is done with the colour image's border, which is white in the labelled file: kept, made black outside
#: :data:`BLACK_WINDOW` as in the BTS family's test images, or kept out of training crops (:data:`CROP_WINDOW`).
Border = Literal["keep", "black", "crop"]

#: Top, left, bottom and right edge, at 480x640, of what BTS's test images leave visible.
BLACK_WINDOW = (7, 7, 474, 632)

#: The same of what BTS's training crops are drawn from.
CROP_WINDOW = (45, 43, 472, 608)

#: Rows and columns of pure white along the top, left, bottom and right of the labelled file's images.
WHITE_BORDER = (5, 6, 5, 7)

#: fx, fy, cx, cy of the RGB camera at 640x480, pixels (NYU toolbox, ``camera_params.m``).
CAMERA = (518.857901, 519.469611, 325.582449, 253.736166)


def intrinsics(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.float32]:
    """Return the pinhole matrix (3, 3) of the NYUv2 RGB camera for frames resized to ``height`` x ``width``.

    Pixel centres lie at integer coordinates, hence the half-pixel terms of the principal point.
    """
    fx, fy, cx, cy = CAMERA
    sx, sy = width / WIDTH, height / HEIGHT
    matrix = [[fx * sx, 0, (cx + 0.5) * sx - 0.5], [0, fy * sy, (cy + 0.5) * sy - 0.5], [0, 0, 1]]
    return np.asarray(matrix, dtype=np.float32)


def scaled_window(window: tuple[int, int, int, int], height: int, width: int) -> tuple[int, int, int, int]:
    """Return a window given at 480x640, for frames of another size."""
    top, left, bottom, right = window
    sy, sx = height / HEIGHT, width / WIDTH
    return round(top * sy), round(left * sx), round(bottom * sy), round(right * sx)


def blacken_border(image: Tensor) -> Tensor:
    """Return image (3, H, W) with black outside :data:`BLACK_WINDOW`, as the BTS family's test images have it."""
    top, left, bottom, right = scaled_window(BLACK_WINDOW, *image.shape[-2:])
    inside = torch.zeros_like(image)
    inside[:, top:bottom, left:right] = image[:, top:bottom, left:right]
    return inside


def looks_mirrored(image: Tensor) -> bool:
    """Return whether an image (3, 480, 640) uint8 with NYUv2's white border is flipped left to right.

    The border is 6 pixels wide on the left and 7 on the right (one more where JPEG blurs it); a public dump of the
    labelled frames that was made by rotating instead of transposing has them the other way round.
    """
    if image.shape[-2:] != (HEIGHT, WIDTH):
        return False
    rows = image[:, HEIGHT // 4 : 3 * HEIGHT // 4].float().mean(dim=(0, 1))  # of each column
    white = rows > 240
    left, right = int((~white).float().argmax()), int((~white.flip(0)).float().argmax())
    narrow, wide = WHITE_BORDER[1], WHITE_BORDER[3]
    return narrow <= right < left <= wide + 1


def _are_ids(values: NDArray[Any], count: int, largest: int) -> bool:
    """Whether these are ``count`` whole numbers in 1..largest."""
    numeric = values.dtype.kind in "iuf" and values.size == count
    return numeric and bool(((values == np.round(values)) & (values >= 1) & (values <= largest)).all())


def read_class_mapping(path: Path) -> NDArray[np.uint8]:
    """Return the table (895,) from fine id to NYU40 id, of a ``classMapping40.mat``; entry 0, unlabelled, stays 0.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or has no ``mapClass`` of 894 ids in 1..40.
    """
    mapped = np.asarray(load_matlab5(path, ORIGINS[CLASS_MAPPING_FILE]).get("mapClass", [])).ravel()
    if not _are_ids(mapped, FINE_CLASSES, len(NAMES40)):
        raise ValueError(
            f"{printable(path)}: key `mapClass` must hold 894 ids in 1..40; use Gupta's classMapping40.mat"
        )
    return np.concatenate([[0], mapped]).astype(np.uint8)


def read_class13_mapping(path: Path) -> NDArray[np.uint8]:
    """Return the table (41,) of a ``class13Mapping.mat``: from NYU40 id to 13 classes (Couprie et al., ICLR 2013).

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or has no ``classMapping13.labels13`` of 40 ids in 1..13.
    """
    content = load_matlab5(path, ORIGINS[CLASS13_MAPPING_FILE]).get("classMapping13")
    mapped = np.array([])
    if isinstance(content, np.ndarray) and "labels13" in (content.dtype.names or ()):
        mapped = np.asarray(content["labels13"].ravel()[0]).ravel()
    if not _are_ids(mapped, len(NAMES40), 13):
        raise ValueError(
            f"{printable(path)}: key `classMapping13.labels13` must hold 40 ids in 1..13; take nyuv2-meta-data's file"
        )
    return np.concatenate([[0], mapped]).astype(np.uint8)
