"""Reads the files of one frame of a folder: depth as it is coded, class and object ids, and masks."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from datamodules.files import printable
from datamodules.folder.description import DESCRIPTION_FILE, DepthCoding
from datamodules.storage.images import decode_image
from datamodules.storage.map_formats import read_map
from datamodules.storage.map_sizes import flat

#: Bits by which SUN RGB-D's 16-bit depth is rotated to the left (read3dPoints.m of its toolbox).
SUN_BITS = 3


def read_depth_file(path: Path, coding: DepthCoding, *, metric: bool) -> NDArray[np.float64]:
    """Return depth (H, W) as metres, or, not metric, in whatever unit; 0 or less, or not finite, where there is none.

    Args:
        path: 16-bit PNG or TIFF, or floats as NumPy, OpenEXR, TIFF or PFM.
        coding: how depth is stored.
        metric: whether a stored step is a known part of a metre.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or not coded so.
    """
    values = flat(read_map(path), path)
    whole = values.dtype.kind in "iu"
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{printable(path)}: is {values.dtype}, depth is numbers; write the values, not a picture")
    if coding.coding == "sun_rgbd":
        if values.dtype != np.uint16:
            raise ValueError(
                f"{printable(path)}: is {values.dtype}, but `depth.coding: sun_rgbd` in {DESCRIPTION_FILE} is of "
                "16-bit PNG; take the original file, or set another coding"
            )
        values = (values >> SUN_BITS) | (values << (16 - SUN_BITS))
    if coding.scale is None and whole and metric:
        raise ValueError(
            f"{printable(path)}: holds whole numbers ({values.dtype}), and `depth` in {DESCRIPTION_FILE} does not say "
            "what a step is; set `depth.unit: mm`, or `depth.scale`, the steps of a metre"
        )
    stored = values.astype(np.float64)
    if coding.coding == "inverse":
        with np.errstate(divide="ignore", invalid="ignore"):
            stored = np.where(stored > 0, 1 / stored, 0.0) * (coding.scale or 1.0)
        return stored
    return stored / (coding.scale or 1.0)


def read_ids(path: Path) -> NDArray[np.int64]:
    """Return whole numbers (H, W) of a label file; of a PNG with a palette the numbers, not the colours.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or holds colours or fractions.
    """
    if path.suffix.lower() in (".npy", ".npz"):
        values = flat(read_map(path), path)
    else:
        values = decode_image(path, cv2.IMREAD_UNCHANGED)  # checks the whole file
        if values.ndim == 3:
            values = _palette_ids(path, values.shape[2])
    if values.dtype.kind not in "iub":
        raise ValueError(f"{printable(path)}: is {values.dtype}, ids are whole numbers; write them as 8 or 16-bit PNG")
    return values.astype(np.int64)


def _palette_ids(path: Path, channels: int) -> NDArray[Any]:
    """Return the numbers of an image with a palette, which OpenCV gives as colours."""
    with Image.open(path) as image:
        if image.mode == "P":
            return np.asarray(image)
    raise ValueError(
        f"{printable(path)}: is a picture of {channels} channels, ids are one number a pixel; write the ids, as grey "
        "levels or with a palette"
    )


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Return (H, W) bool of a mask file, true where a pixel counts; raises as :func:`read_ids` does."""
    if path.suffix.lower() in (".npy", ".npz"):
        return flat(read_map(path), path) > 0
    return decode_image(path, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH) > 0


def planar(distance: NDArray[np.float64], camera: Tensor) -> NDArray[np.float64]:
    """Return planar z (H, W) of distances to the optical centre (H, W), by the camera matrix (3, 3) of their pixels."""
    height, width = distance.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    rays = torch.linalg.inv(camera.double()) @ torch.stack([x, y, torch.ones_like(x)]).double().reshape(3, -1)
    lengths = (rays / rays[2]).norm(dim=0).reshape(height, width)
    return distance / lengths.numpy()
