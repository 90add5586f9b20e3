"""Reads image files that belong to a frame: colour, depth and other maps, pixel on pixel."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.declared_size import check_declared, declared_size
from datamodules.files import FIX, printable, read_bytes


def decode_image(path: Path, flags: int) -> NDArray[Any]:
    """Return pixels of an image file as OpenCV decodes them, BGR or one channel, in the order in which they are stored.

    What the file says of how a viewer should turn it (EXIF) is passed over: of two images of one frame, such as colour
    and depth, only one may say so, and pixels no longer belong together.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged. OpenCV itself fills the missing rows of a truncated JPEG or PNG with grey or
            black; the end marker of both formats tells.
    """
    content = read_bytes(path)
    check_declared(declared_size(content), printable(path), FIX)
    try:
        pixels = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except (cv2.error, MemoryError):  # such as sizes beyond OpenCV's own limit
        pixels = None
    truncated = (content[:2] == b"\xff\xd8" and b"\xff\xd9" not in content[-64:]) or (
        content[:4] == b"\x89PNG" and b"IEND" not in content[-64:]
    )
    if pixels is None or truncated or 0 in pixels.shape:
        raise ValueError(f"{printable(path)}: truncated, or not an image ({len(content):,} bytes); {FIX}")
    return pixels


def read_rgb(path: Path) -> Tensor:
    """Return an RGB image (3, H, W) uint8.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged.
    """
    bgr = decode_image(path, cv2.IMREAD_COLOR)
    return torch.from_numpy(np.ascontiguousarray(bgr[..., ::-1].transpose(2, 0, 1)))


def read_depth_png(path: Path, unit: float = 1e-3) -> NDArray[np.float32]:
    """Return depth (H, W) in metres of a 16-bit PNG with ``unit`` metres a step; 0 is a hole.

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
