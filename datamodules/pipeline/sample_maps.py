"""Maps that are made of a finished sample's own maps: cheap, so they are made anew for every view."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from skimage.color import rgb2gray
from skimage.feature import canny
from torch import Tensor
from torch.nn.functional import max_pool2d

from datamodules.frames import FrameReader
from datamodules.splits import spread
from datamodules.storage.cache import remembered

ContourMode = Literal["gradient", "opening"]
EdgeSource = Literal["semantic", "instance", "canny_depth", "canny_rgb"]

#: Frames over which classes are counted, at most.
COUNTED_FRAMES = 2000

#: Semantic-MD's hard-coded order of the NYU40 classes on HyperSim, the most frequent first.
SEMANTIC_MD_ORDER = (
    *(1, 2, 22, 9, 38, 5, 3, 40, 7, 6, 13, 8, 35, 20, 4, 14, 39, 18, 11, 12),
    *(10, 23, 19, 36, 15, 25, 34, 17, 24, 21, 32, 16, 27, 29, 26, 33, 30, 31, 37, 28),
)


class DerivedMap(ABC):
    """A map of a sample, derived from the others after all geometry.

    Attributes:
        key: of the sample.
        needs: key that it is made of.
        is_input: whether it is on the network input's grid, not on the truth's; in training they are the same.
    """

    key: ClassVar[str]
    needs: str
    is_input: ClassVar[bool]

    def fit(self, reader: FrameReader, train: Sequence[int]) -> None:  # noqa: B027  (most have nothing to learn)
        """Learn what must be known of the training frames, once, before the first sample."""

    @abstractmethod
    def make(self, map_: Tensor) -> Tensor:
        """The map (C, H, W) of the one it needs, whose last two axes are H, W."""


class SemanticContours(DerivedMap):
    """Semantic contours as a network input: Semantic-MD, section 3.1, equation 5.

    Args:
        mode: ``gradient``, the morphological gradient (dilation minus erosion) as the authors' code has it: 1 on both
            sides of a border, two pixels wide in all; ``opening`` is what equation 5 prints, ``D(E(x))``, which yields
            labels, not contours.
        size: edge of the square structuring element, odd.

    Raises:
        ValueError: if ``size`` is not odd and positive.
    """

    key = "contours"
    needs = "semantics"
    is_input = True

    def __init__(self, mode: ContourMode = "gradient", size: int = 3):
        if size < 1 or size % 2 == 0:
            raise ValueError(f"SemanticContours: `size` must be odd and positive, is {size}")
        self.mode = mode
        self.size = size

    def make(self, map_: Tensor) -> Tensor:
        """(1, H, W) float32 contours of labels (H, W)."""
        if self.mode == "gradient":
            return label_borders(map_, self.size).float()[None]
        return dilate(erode(map_, self.size), self.size).float()[None]


class ClassMaps(DerivedMap):
    """One-hot maps of the most frequent classes, a network input: Semantic-MD's 1hot-40, 1hot-20 and 1hot-3.

    A pixel of another class, or of none, is zero in all of them.

    Args:
        classes: how many.
        order: ``counted`` on the training split's pixels, or Semantic-MD's own, ``semantic_md`` (for NYU40).
        count_frames: training frames that are counted, at most, evenly spread; None counts all.
    """

    key = "class_maps"
    needs = "semantics"
    is_input = True

    def __init__(
        self,
        classes: int = 40,
        order: Literal["counted", "semantic_md"] = "counted",
        count_frames: int | None = COUNTED_FRAMES,
    ):
        if classes < 1 or (order == "semantic_md" and classes > len(SEMANTIC_MD_ORDER)):
            raise ValueError(f"ClassMaps: `classes` must be in 1..{len(SEMANTIC_MD_ORDER)}, is {classes}")
        self.classes = classes
        self.order = order
        self.count_frames = count_frames
        self.ids: Tensor | None = torch.tensor(SEMANTIC_MD_ORDER[:classes]) if order == "semantic_md" else None

    def fit(self, reader: FrameReader, train: Sequence[int]) -> None:
        """Count the pixels of every class over the training frames, once for all runs; ties go to the smaller id.

        Raises:
            ValueError: if the training frames have fewer classes.
        """
        if self.ids is not None:
            return
        counts = torch.tensor(class_pixels(reader, train, self.count_frames), dtype=torch.int64)
        counts[:1] = 0  # unlabelled
        present = int((counts > 0).sum())
        if present < self.classes:
            raise ValueError(
                f"ClassMaps: `classes` is {self.classes}, but the training frames have {present} classes; set it to "
                f"{present} or less"
            )
        self.ids = counts.argsort(descending=True, stable=True)[: self.classes]

    def make(self, map_: Tensor) -> Tensor:
        """(classes, H, W) float32 of labels (H, W), the most frequent class first."""
        if self.ids is None:
            raise RuntimeError("ClassMaps.fit has not been called")
        return (map_[None] == self.ids[:, None, None]).float()


def class_pixels(reader: FrameReader, frames: Sequence[int], count_frames: int | None = COUNTED_FRAMES) -> list[int]:
    """Pixels of each class id over some frames, counted once for all runs.

    Args:
        reader: of the frames.
        frames: their positions.
        count_frames: frames that are counted, at most, evenly spread; None counts all.
    """
    chosen = spread(frames, count_frames or len(frames))
    key = f"pixels of classes\n{reader.identity}\n{chosen}"
    counts: list[int] = remembered(key, lambda: count_classes(reader, chosen))
    return counts


def count_classes(reader: FrameReader, positions: Sequence[int]) -> list[int]:
    """Pixels of each class id in some frames."""
    counts = torch.zeros(0, dtype=torch.int64)
    for position in positions:
        seen = torch.bincount(reader.read(position).maps["semantics"].flatten(), minlength=len(counts))
        seen[: len(counts)] += counts
        counts = seen
    return counts.tolist()


class EdgeTarget(DerivedMap):
    """Edges as a training target: guided MTI-Net, which does not say of what; borders of semantic classes by default.

    Args:
        source: ``semantic`` and ``instance`` are borders between ids, one-pixel wide on each side, also those to
            unlabelled areas (id 0); ``canny_depth`` and
            ``canny_rgb`` are Canny edges (Gaussian of sigma sqrt 2, thresholds 0.15 and 0.30 of the depth's range, or
            0.1 and 0.2 of grey).
    """

    key = "edges"
    is_input = False

    def __init__(self, source: EdgeSource = "semantic"):
        self.source = source
        keys = {"semantic": "semantics", "instance": "instances", "canny_depth": "depth", "canny_rgb": "image"}
        self.needs = keys[source]

    def make(self, map_: Tensor) -> Tensor:
        """(1, H, W) float32 edges of ids (H, W), depth (1, H, W) or an image (3, H, W) uint8."""
        if self.source == "canny_depth":
            return canny_depth(map_[0])[None].float()
        if self.source == "canny_rgb":
            edges = canny(rgb2gray(map_.permute(1, 2, 0).numpy()), sigma=math.sqrt(2), low_threshold=0.1)
            return torch.from_numpy(edges)[None].float()
        return label_borders(map_).float()[None]


def canny_depth(depth: Tensor) -> Tensor:
    """Canny edges (H, W) bool of a depth map (H, W), normalised to its range; none where it is constant or empty."""
    valid = depth > 0
    if not valid.any():
        return torch.zeros_like(valid)
    nearest, farthest = depth[valid].min(), depth[valid].max()
    normalised = ((depth - nearest) / (farthest - nearest).clamp_min(1e-6)).numpy().astype(np.float64)
    return torch.from_numpy(
        canny(normalised, sigma=math.sqrt(2), low_threshold=0.15, high_threshold=0.30, mask=valid.numpy())
    )


def dilate(labels: Tensor, size: int = 3) -> Tensor:
    """Largest id (H, W) in a square window around each pixel."""
    return max_pool2d(labels[None].double(), size, stride=1, padding=size // 2)[0].to(labels.dtype)


def erode(labels: Tensor, size: int = 3) -> Tensor:
    """Smallest id (H, W) in a square window around each pixel."""
    return -dilate(-labels, size)


def label_borders(labels: Tensor, size: int = 3) -> Tensor:
    """Pixels (H, W) bool with another id in a square window around them: the morphological gradient is not zero."""
    return dilate(labels, size) != erode(labels, size)
