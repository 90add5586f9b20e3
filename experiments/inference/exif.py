"""The camera that a photo's EXIF data tell of."""

import math
from typing import Any

from PIL import ExifTags, Image

from experiments.inference.cameras import Camera, centered

#: Millimetres of the diagonal of 35 mm film, 24 by 36.
FILM_DIAGONAL = math.hypot(24, 36)

#: Millimetres of the unit of a sensor's resolution, by EXIF's number for it.
UNITS = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}


def exif_camera(image: Image.Image) -> Camera | None:
    """Return the camera of an opened photo, the right way up; None where its EXIF data say too little.

    ``FocalLengthIn35mmFilm`` is the focal length on film of 24 by 36 mm with the same angle along the diagonal (EXIF
    2.32; cameras differ by some percent, and a photo that was cropped later still has it). Where it is missing,
    ``FocalLength`` in mm counts with ``FocalPlaneXResolution``, pixels a unit on the sensor.

    Args:
        image: not yet turned as its EXIF data say.
    """
    try:
        exif = image.getexif()
        values: dict[int, Any] = dict(exif.get_ifd(ExifTags.IFD.Exif))
        turned = exif.get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    except Exception:  # Pillow raises what its parser meets: EXIF data are nobody's contract
        return None
    width, height = image.size[::-1] if turned else image.size
    film = _positive(values.get(ExifTags.Base.FocalLengthIn35mmFilm))
    if film:
        focal = film * math.hypot(width, height) / FILM_DIAGONAL
        return centered(focal, (height, width), f"EXIF, {film:g} mm on 35 mm film")
    length = _positive(values.get(ExifTags.Base.FocalLength))
    resolution = _positive(values.get(ExifTags.Base.FocalPlaneXResolution))
    unit = UNITS.get(values.get(ExifTags.Base.FocalPlaneResolutionUnit, 2))
    taken = _positive(values.get(ExifTags.Base.ExifImageWidth)) or float(image.size[0])
    if length and resolution and unit:
        focal = length * resolution / unit * image.size[0] / taken  # a photo may have been scaled since
        return centered(focal, (height, width), f"EXIF, {length:g} mm and the sensor's resolution")
    return None


def _positive(value: Any) -> float:
    """Return a number of EXIF data, which may be a fraction with nothing below; 0 where it is none or not positive."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0
