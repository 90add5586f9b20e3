"""Maps that are made of a finished view's own maps, anew for every view: they cost little."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
import torch
from skimage.color import rgb2gray
from skimage.feature import canny
from torch import Tensor
from torch.nn.functional import max_pool2d

EdgeSource = Literal["semantic", "instance", "canny_depth", "canny_rgb"]


class DerivedMap(ABC):
    """A training target that is made of another map of the same view, on the grid of the truth.

    Attributes:
        key: the sample's key of what is made.
        needs: the key that it is made of.
    """

    key: ClassVar[str]
    needs: str

    @abstractmethod
    def make(self, map_: Tensor) -> Tensor:
        """Return the map (C, H, W) of the one it needs, whose last two axes are H, W."""


class EdgeTarget(DerivedMap):
    """Edges as a training target: guided MTI-Net, which does not say of what; borders of semantic classes by default.

    Args:
        source: ``semantic`` and ``instance`` are borders between ids, one-pixel wide on each side, also those to
            unlabelled areas (id 0); ``canny_depth`` and
            ``canny_rgb`` are Canny edges (Gaussian of sigma sqrt 2, thresholds 0.15 and 0.30 of the depth's range, or
            0.1 and 0.2 of grey).
    """

    key = "edges"

    def __init__(self, source: EdgeSource = "semantic"):
        self.source = source
        keys = {"semantic": "semantics", "instance": "instances", "canny_depth": "depth", "canny_rgb": "image"}
        self.needs = keys[source]

    def make(self, map_: Tensor) -> Tensor:
        """Return (1, H, W) float32 edges of ids (H, W), depth (1, H, W) or an image (3, H, W) uint8."""
        if self.source == "canny_depth":
            return canny_depth(map_[0])[None].float()
        if self.source == "canny_rgb":
            edges = canny(rgb2gray(map_.permute(1, 2, 0).numpy()), sigma=math.sqrt(2), low_threshold=0.1)
            return torch.from_numpy(edges)[None].float()
        return label_borders(map_).float()[None]


def canny_depth(depth: Tensor) -> Tensor:
    """Return Canny edges (H, W) bool of a depth map (H, W) normalised to its range; none if it is constant or empty."""
    valid = depth > 0
    if not valid.any():
        return torch.zeros_like(valid)
    nearest, farthest = depth[valid].min(), depth[valid].max()
    normalised = ((depth - nearest) / (farthest - nearest).clamp_min(1e-6)).numpy().astype(np.float64)
    return torch.from_numpy(
        canny(normalised, sigma=math.sqrt(2), low_threshold=0.15, high_threshold=0.30, mask=valid.numpy())
    )


def label_borders(labels: Tensor) -> Tensor:
    """Return where (H, W) bool another id lies among the eight neighbours: the morphological gradient is not zero."""
    ids = labels[None].double()  # holds every int64 id that occurs
    largest, smallest = (sign * max_pool2d(sign * ids, 3, stride=1, padding=1) for sign in (1, -1))
    return (largest != smallest)[0]
