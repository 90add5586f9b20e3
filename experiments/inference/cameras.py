"""Focal lengths: that of a photo, and the one that depth in metres was learned with."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

Size = tuple[int, int]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion, in pixels of its own image, pixel centres at integers.

    Attributes:
        fx: focal length along rows.
        fy: focal length along columns.
        cx: column of the principal point.
        cy: row of the principal point.
        source: where the focal length is known from, in a few words.
        assumed: whether it is a guess, by which no depth is rescaled.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    source: str
    assumed: bool = False

    @property
    def matrix(self) -> Tensor:
        """Return the camera matrix, (3, 3) float32."""
        return torch.tensor([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])

    @property
    def focal(self) -> float:
        """Return one focal length for both axes, in pixels: their geometric mean."""
        return math.sqrt(self.fx * self.fy)

    def resized(self, size: Size, new: Size) -> "Camera":
        """Return the camera of the image after it was resized.

        Args:
            size: height and width of the image.
            new: height and width that it has then.
        """
        y, x = new[0] / size[0], new[1] / size[1]
        # pixel centres lie at integers, so (c + 1/2) scales, not c
        center = (self.cx + 0.5) * x - 0.5, (self.cy + 0.5) * y - 0.5
        return replace(self, fx=self.fx * x, fy=self.fy * y, cx=center[0], cy=center[1])


def centered(focal: float, size: Size, source: str, *, assumed: bool = False) -> Camera:
    """Return a camera of square pixels whose principal point is the middle of the image.

    Args:
        focal: pixels.
        size: height and width of the image.
        source: where the focal length is known from.
        assumed: whether it is a guess.
    """
    return Camera(focal, focal, (size[1] - 1) / 2, (size[0] - 1) / 2, source, assumed)


def of_angle(fov: float, size: Size, source: str) -> Camera:
    """Return a camera of square pixels by the angle that the image shows across its width.

    Args:
        fov: degrees.
        size: height and width of the image.
        source: where the angle is known from.

    Raises:
        ValueError: if it is no angle between 0 and 180 degrees.
    """
    if not 0 < fov < 180:
        raise ValueError(f"{source} {fov:g}: need an angle between 0 and 180 degrees")
    focal = size[1] / 2 / math.tan(math.radians(fov / 2))
    return centered(focal, size, f"{source}, {fov:g} degrees across the width")


@dataclass(frozen=True)
class TrainingCamera:
    """The focal length that a network has learned metres with, in pixels of its input.

    A network sees how many pixels a thing covers: twice the focal length shows it as a thing at half the distance. What
    counts is the training frames' focal length after they were resized; a crop leaves it as it is.

    Attributes:
        focal: the median over training frames.
        lowest: the smallest among them.
        highest: the largest among them.
    """

    focal: float
    lowest: float
    highest: float

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "TrainingCamera | None":
        """Return what a run's ``environment.json`` says; None for a run of an earlier version, which says nothing."""
        try:
            camera = record["training_camera"]
            values = [float(camera[name]) for name in ("focal", "lowest", "highest")]
        except (KeyError, TypeError, ValueError):
            return None
        return cls(*values) if all(math.isfinite(value) and value > 0 for value in values) else None

    def factor(self, camera: Camera, size: Size, shown: Size) -> float:
        """Return what predicted depth is multiplied with for an image of another camera.

        Args:
            camera: of the image.
            size: height and width of the image.
            shown: height and width that the network sees it at.
        """
        return camera.resized(size, shown).focal / self.focal
