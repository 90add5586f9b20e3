"""The camera that a command line tells of."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from experiments.config.error import ConfigError
from experiments.inference.cameras import Camera, Size, centered


@dataclass
class CameraChoice:
    """What is known of the camera of all photos; by default each photo's EXIF data tell.

    Attributes:
        fov: degrees that a photo shows across its width.
        intrinsics: FX,FY,CX,CY in pixels of the photos, the right way up.
    """

    fov: float | None = None
    intrinsics: str | None = None

    def check(self) -> None:
        """Check both.

        Raises:
            ConfigError: if both are given, or one makes no sense.
        """
        if self.fov is not None and self.intrinsics is not None:
            raise ConfigError("--fov and --intrinsics: give one of them")
        if self.fov is not None and not 0 < self.fov < 180:
            raise ConfigError(f"--fov {self.fov:g}: need an angle between 0 and 180 degrees")
        self.matrix()

    def matrix(self) -> tuple[float, float, float, float] | None:
        """Return fx, fy, cx and cy of ``intrinsics``; None where they are not given.

        Raises:
            ConfigError: if they are not four numbers, the first two positive.
        """
        if self.intrinsics is None:
            return None
        try:
            fx, fy, cx, cy = (float(number) for number in self.intrinsics.split(","))
        except ValueError:
            fx = fy = cx = cy = math.nan
        if not (all(math.isfinite(value) for value in (fx, fy, cx, cy)) and min(fx, fy) > 0):
            raise ConfigError(
                f"--intrinsics {self.intrinsics}: need FX,FY,CX,CY in pixels, such as 518.9,519.5,320,240"
            )
        return fx, fy, cx, cy

    def of(self, exif: Camera | None, size: Size) -> Camera | None:
        """Return the camera of a photo; None where nothing is known of it.

        Args:
            exif: as the photo's EXIF data tell.
            size: height and width of the photo.

        Raises:
            ValueError: if the principal point lies outside of the photo: it is another size's.
        """
        if self.fov is not None:
            focal = size[1] / 2 / math.tan(math.radians(self.fov / 2))
            return centered(focal, size, f"--fov, {self.fov:g} degrees across the width")
        if (matrix := self.matrix()) is not None:
            if not (0 <= matrix[2] < size[1] and 0 <= matrix[3] < size[0]):
                raise ValueError(
                    f"--intrinsics: the principal point {matrix[2]:g},{matrix[3]:g} lies outside of a photo of "
                    f"{size[1]}x{size[0]}; give them in pixels of this very photo"
                )
            return Camera(*matrix, source="--intrinsics")
        return exif

    def describe(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)
