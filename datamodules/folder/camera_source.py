"""Where the camera matrix of a frame is from: `dataset.yaml`, a file, or a field of view."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datamodules.files import printable, read_lines
from datamodules.folder.checked_keys import CheckedKeys
from datamodules.folder.templates import check_template

#: What a file of a camera may hold.
FORMS = "fx fy cx cy, a 3x3 matrix, or a 4x4 matrix whose first three rows and columns are one"


@dataclass(frozen=True)
class CameraSource:
    """Where the camera matrix is from; one of the three is given. It is that of the depth map's pixels.

    Attributes:
        matrix: fx, fy, cx, cy of all frames, pixels, pixel centres at integers; cx and cy None for the middle.
        file: template of a frame's file, see :mod:`~datamodules.folder.templates`.
        horizontal_fov: degrees, of all frames; pixels are square, the principal point is the middle.
    """

    matrix: tuple[float, float, float | None, float | None] | None = None
    file: str | None = None
    horizontal_fov: float | None = None

    def of(self, size: tuple[int, int]) -> Tensor:
        """Return the camera matrix (3, 3) float32 of frames of a size (height, width), where no file says it."""
        height, width = size
        middle = (width - 1) / 2, (height - 1) / 2
        if self.matrix is not None:
            fx, fy, cx, cy = self.matrix
            return pinhole(fx, fy, middle[0] if cx is None else cx, middle[1] if cy is None else cy)
        assert self.horizontal_fov is not None
        focal = width / 2 / math.tan(math.radians(self.horizontal_fov) / 2)
        return pinhole(focal, focal, *middle)


def pinhole(fx: float, fy: float, cx: float, cy: float) -> Tensor:
    """Return a camera matrix (3, 3) float32."""
    return torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float32)


def read_camera_source(file: Path, section: Any) -> CameraSource:
    """Read the section ``camera`` of a `dataset.yaml`.

    Raises:
        ValueError: if something is wrong with it: one line with file, key and fix.
    """
    keys = CheckedKeys(file, section, ("fx", "fy", "cx", "cy", "file", "horizontal_fov"), "camera")
    given = [key for key in ("fx", "file", "horizontal_fov") if key in keys]
    if len(given) != 1:
        raise keys.fault("", "needs one of `fx` (with `fy`, `cx`, `cy`), `file` and `horizontal_fov`")
    if given == ["file"]:
        return CameraSource(file=check_template(keys.text("file"), keys.place("file")))
    if given == ["horizontal_fov"]:
        angle = keys.number("horizontal_fov")
        assert angle is not None
        if angle >= 180:
            raise keys.fault("horizontal_fov", f"is {angle:g} degrees, which no lens without distortion has")
        return CameraSource(horizontal_fov=angle)
    fx = keys.number("fx")
    assert fx is not None
    fy = keys.number("fy", fx)
    assert fy is not None
    return CameraSource(matrix=(fx, fy, keys.number("cx"), keys.number("cy")))


def read_camera(path: Path) -> Tensor:
    """Return the camera matrix (3, 3) float32 of a text file: numbers between blanks, commas or line ends.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it holds something else.
    """
    words = re.split(r"[,;\s\[\]]+", " ".join(read_lines(path, f"it holds {FORMS}")).strip(",;[] "))
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise ValueError(f"{printable(path)}: holds text, not the numbers of a camera; write {FORMS}") from error
    if len(numbers) == 4:
        fx, fy, cx, cy = numbers
    elif len(numbers) == 9:
        fx, _, cx, _, fy, cy = numbers[:6]
    elif len(numbers) == 16:
        fx, _, cx, _, _, fy, cy = numbers[:7]
    else:
        raise ValueError(f"{printable(path)}: holds {len(numbers)} numbers, not those of a camera; write {FORMS}")
    if not all(map(math.isfinite, numbers)) or fx <= 0 or fy <= 0:
        raise ValueError(f"{printable(path)}: focal lengths {fx:g} and {fy:g} are not positive; write {FORMS}")
    return pinhole(fx, fy, cx, cy)
