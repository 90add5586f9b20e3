"""Reads photos of any kind, or says in one line what is wrong with a file."""

import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from datamodules.declared_size import MAX_PIXELS
from datamodules.files import printable, unreadable
from experiments.inference.cameras import Camera
from experiments.inference.exif import exif_camera
from experiments.inference.rgb_images import check_size, rgb_pixels

#: Formats of photos, by Pillow's names; of those that are left out, some start other programs to be decoded (EPS).
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000")

#: Endings of formats that phones write and Pillow does not read.
HEIF = (".heic", ".heif")

FIX = "take another file, or save it anew as JPEG or PNG"


@dataclass(frozen=True)
class Photo:
    """A photo that was read.

    Attributes:
        image: (3, H, W) uint8 RGB, the right way up.
        camera: as its EXIF data tell; None where they do not.
        remarks: what must be said of how it was read.
    """

    image: Tensor
    camera: Camera | None
    remarks: tuple[str, ...] = ()


def read_photo(path: Path) -> Photo:
    """Return a photo.

    Its size is looked at before its pixels are: a small file can declare more of them than any memory holds.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, no image, too large or too small, in one line that names the file.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{printable(path)}: is no file; name a photo")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked here, and of EXIF data that cannot be parsed
            with Image.open(path, formats=readable_formats()) as image:
                check_declared_size(*image.size[::-1])
                frames, camera = getattr(image, "n_frames", 1), exif_camera(image)
                pixels = rgb_pixels(image)
    except Image.DecompressionBombError as error:
        raise ValueError(f"{printable(path)}: declares more than {MAX_PIXELS:,} pixels; {FIX}") from error
    except UnidentifiedImageError as error:
        if path.suffix.lower() in HEIF:
            raise ValueError(f"{printable(path)}: a HEIF photo, which is not read here; save it as JPEG") from error
        raise unreadable(path, "an image", FIX) from error
    except ValueError as error:
        raise ValueError(f"{printable(path)}: {one_line(error)}") from error
    except Exception as error:  # Pillow's decoders raise another class for every way in which a file is damaged
        if isinstance(error, OSError) and error.errno:
            raise unreadable(path, "an image", FIX, error) from error
        raise ValueError(f"{printable(path)}: truncated or damaged ({one_line(error)}); {FIX}") from error
    animated = frames > 1 and image.format in ("GIF", "PNG", "WEBP", "TIFF", "AVIF")
    remarks = (f"the first of {frames} pictures in the file",) if animated else ()
    return Photo(torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous(), camera, remarks)


@cache
def readable_formats() -> tuple[str, ...]:
    """Return those of :data:`FORMATS` that Pillow, as installed, reads."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def check_declared_size(height: int, width: int) -> None:
    """Check the size of an image before it is decoded.

    Raises:
        ValueError: if there are too many pixels, or too few.
    """
    if height * width > MAX_PIXELS:
        raise ValueError(f"{height}x{width} pixels are more than {MAX_PIXELS:,}; make it smaller first")
    check_size(height, width)


def one_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its class where it has none."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
