"""Images of any kind, as the networks here take them: RGB of 8 bits, the right way up."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

#: Modes of Pillow that hold grey of more than 8 bits.
DEEP_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")

#: Pixels along a side below which there is nothing to see.
SMALLEST_SIDE = 8


def rgb_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Return pixels (H, W, 3) of an opened image, turned as its EXIF says, over white where it is transparent.

    Of an animation it is the frame that is shown, at first the first one.

    Raises:
        ValueError: if it holds what no photo does.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode in DEEP_GREY:
        values = np.asarray(upright).astype(np.float64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("grey of 32 bits; save it with 8 or 16")
        return np.repeat((values / 257).round().astype(np.uint8)[..., None], 3, axis=2)
    if upright.mode == "F":
        raise ValueError("grey as floating-point numbers; save it with 8 or 16 bits")
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(white, upright)
    return np.asarray(upright.convert("RGB"))


def rgb_tensors(image: Any) -> list[Tensor]:
    """Return images (3, H, W) uint8 RGB of what Python programs hold images in.

    Args:
        image: a Pillow image; a NumPy array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); or a tensor (C, H, W) or
            (B, C, H, W) with C = 1, 3 or 4. Integers are of 8 or 16 bits, other numbers in [0, 1]. A fourth channel,
            of transparency, is laid over white.

    Raises:
        TypeError: if it is none of these.
        ValueError: if its shape or values are not as they should be, or it is too small.
    """
    if isinstance(image, Image.Image):
        arrays = [rgb_pixels(image)]
    elif isinstance(image, np.ndarray):
        arrays = [_eight_bits(image)]
    elif isinstance(image, Tensor):
        if image.ndim not in (3, 4):
            raise ValueError(f"need a tensor (C, H, W) or (B, C, H, W), got {tuple(image.shape)}")
        batch = image.detach().cpu()
        batch = batch.float() if batch.dtype in (torch.bfloat16, torch.float16) else batch
        arrays = [_eight_bits(one.movedim(0, -1).numpy()) for one in (batch if batch.ndim == 4 else batch[None])]
    else:
        raise TypeError(f"need a NumPy array, a Pillow image or a tensor, got {type(image).__name__}")
    for pixels in arrays:
        check_size(*pixels.shape[:2])
    return [torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)).copy()) for pixels in arrays]


def check_size(height: int, width: int) -> None:
    """Check that there is something to see.

    Raises:
        ValueError: if not.
    """
    if min(height, width) < SMALLEST_SIDE:
        raise ValueError(f"{height}x{width} pixels: too small, each side needs {SMALLEST_SIDE}")


def _eight_bits(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return pixels (H, W, 3) uint8 of an array."""
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(f"need an image of 1, 3 or 4 channels, the last axis of an array, got {array.shape}")
    if array.dtype == np.uint8:
        pixels = array
    elif array.dtype == np.uint16:
        pixels = (array / 257).round().astype(np.uint8)
    elif np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise ValueError("floating-point images are in [0, 1] and finite; divide values up to 255 by 255")
        pixels = (array * 255).round().astype(np.uint8)
    else:
        raise ValueError(f"need uint8, uint16 or floating-point values in [0, 1], got {array.dtype}")
    if pixels.shape[2] == 4:
        return rgb_pixels(Image.fromarray(np.ascontiguousarray(pixels), "RGBA"))
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
