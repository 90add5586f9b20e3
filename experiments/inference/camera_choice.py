"""The camera that a command line tells of."""

import math

from experiments.config.error import ConfigError
from experiments.inference.cameras import Camera, Size, of_angle
from experiments.inference.photo_choices import CameraChoice


def check_camera(choice: CameraChoice) -> None:
    """Check what is said of the camera.

    Raises:
        ConfigError: if too much is said, or it makes no sense.
    """
    if choice.fov is not None and choice.intrinsics is not None:
        raise ConfigError("--fov and --intrinsics: give one of them")
    if choice.fov is not None and not 0 < choice.fov < 180:
        raise ConfigError(f"--fov {choice.fov:g}: need an angle between 0 and 180 degrees")
    if choice.intrinsics is not None:
        parse_intrinsics(choice.intrinsics)


def parse_intrinsics(text: str) -> tuple[float, float, float, float]:
    """Return fx, fy, cx and cy.

    Raises:
        ConfigError: if they are not four numbers, the first two positive.
    """
    try:
        fx, fy, cx, cy = (float(number) for number in text.split(","))
    except ValueError:
        fx = fy = cx = cy = math.nan
    if not (all(math.isfinite(value) for value in (fx, fy, cx, cy)) and min(fx, fy) > 0):
        raise ConfigError(f"--intrinsics {text}: need FX,FY,CX,CY in pixels, such as 518.9,519.5,320,240")
    return fx, fy, cx, cy


def camera_of(choice: CameraChoice, exif: Camera | None, size: Size) -> Camera | None:
    """Return the camera of a photo; None where nothing is known of it.

    Args:
        choice: what the command line says.
        exif: as the photo's EXIF data tell.
        size: height and width of the photo.

    Raises:
        ValueError: if the principal point lies outside of the photo: it is another size's.
    """
    if choice.fov is not None:
        return of_angle(choice.fov, size, "--fov")
    if choice.intrinsics is None:
        return exif
    fx, fy, cx, cy = parse_intrinsics(choice.intrinsics)
    if not (0 <= cx < size[1] and 0 <= cy < size[0]):
        raise ValueError(
            f"--intrinsics: the principal point {cx:g},{cy:g} lies outside of a photo of {size[1]}x{size[0]}; give "
            "them in pixels of this very photo"
        )
    return Camera(fx, fy, cx, cy, source="--intrinsics")
