"""Superpixels of the network input: SEEDS as CAST and SHED use them, SLIC, and a plain grid."""

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from torch import Tensor

#: Pixels below which OpenCV's SEEDS crashes or never ends.
SMALLEST_SEEDS = 4

#: Weight of distance at which SLIC sees no colour any more.
MOST_COMPACT = 1e4

Image = NDArray[np.uint8]
Labels = NDArray[np.int64]


class Superpixels(ABC):
    """Partition of an image into a number of superpixels that is fixed by its size: one per ``size`` x ``size`` pixels.

    384x384 pixels make 576 superpixels of 16, the number of a ViT's 16x16 patches; 480x640 make 1200.

    Args:
        size: edge of a superpixel in pixels, on average.

    Raises:
        ValueError: if ``size`` is not positive.
    """

    def __init__(self, size: int = 16):
        if size < 1:
            raise ValueError(f"{type(self).__name__}: `size` must be at least 1 pixel, got {size}")
        self.size = size

    def count(self, height: int, width: int) -> int:
        """Return the number of ids for an image of ``height`` x ``width``, whatever it shows.

        Raises:
            ValueError: if the image is smaller than one superpixel.
        """
        count = (height // self.size) * (width // self.size)
        if count == 0:
            raise ValueError(
                f"{type(self).__name__}: a {height}x{width} image holds no superpixel of {self.size}x{self.size} "
                "pixels; set a smaller `superpixels.init_args.size`"
            )
        return count

    def check(self, height: int, width: int) -> None:
        """Check an image size before any image is read.

        Raises:
            ValueError: if images of this size cannot be had in :meth:`count` superpixels.
        """
        self.count(height, width)

    def __call__(self, image: Image) -> Labels:
        """Return the superpixel id of every pixel.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            (H, W) int64 in 0..count(H, W) - 1. Ids may be empty, and superpixels need not be connected: SEEDS leaves
            specks in about one of 400.

        Raises:
            ValueError: as :meth:`check` says.
        """
        labels = self.segment(np.ascontiguousarray(image)).astype(np.int64)
        count = self.count(*image.shape[:2])
        if labels.min() < 0 or labels.max() >= count:
            raise ValueError(
                f"{type(self).__name__}: ids {labels.min()}..{labels.max()} where {count} superpixels are due; "
                "choose another algorithm under `superpixels`"
            )
        return labels

    def of_view(self, whole: Tensor, pixel_map: Tensor, frame_size: tuple[int, int]) -> Tensor:
        """Return superpixels of a view (crop, flip) of a frame, from those of the whole frame.

        Each superpixel belongs to the cell of the regular grid of ``size`` x ``size`` that it grew from. In the view it
        takes the id of the cell that the centre of its own cell falls into, or of the nearest one where the centre lies
        outside, so that a view has exactly :meth:`count` ids like any other image. A tenth of the cost of
        superpixels of the view itself; what differs is that superpixels do not know the view's border.

        Args:
            whole: (h, w) int64 ids of the frame's superpixels in the view's pixels.
            pixel_map: (3, 3) from the frame's pixel coordinates to the view's.
            frame_size: height and width of the frame.

        Returns:
            (h, w) int64 in 0..count(h, w) - 1; an id may be empty.
        """
        rows, columns = frame_size[0] // self.size, frame_size[1] // self.size
        y = (torch.arange(rows) + 0.5) * (frame_size[0] / rows) - 0.5
        x = (torch.arange(columns) + 0.5) * (frame_size[1] / columns) - 0.5
        height, width = whole.shape
        view_rows, view_columns = height // self.size, width // self.size
        view_y, view_x = pixel_map[1, 1] * y + pixel_map[1, 2], pixel_map[0, 0] * x + pixel_map[0, 2]
        row = ((view_y + 0.5) * (view_rows / height)).floor().long().clamp(0, view_rows - 1)
        column = ((view_x + 0.5) * (view_columns / width)).floor().long().clamp(0, view_columns - 1)
        return (row[:, None] * view_columns + column).flatten()[whole]

    @abstractmethod
    def segment(self, image: Image) -> NDArray[Any]:
        """Return ids (H, W) of a contiguous image, any integer dtype."""


class SeedsSuperpixels(Superpixels):
    """SEEDS: Van den Bergh et al., "SEEDS: Superpixels Extracted via Energy-Driven Sampling", ECCV 2012, in Lab colour.

    The defaults are those of CAST's supervised pipeline (Ke et al., "Learning Hierarchical Image Segmentation For
    Recognition and By Recognition", ICLR 2024). Deterministic. Needs OpenCV's contrib modules.

    Args:
        size: edge of a superpixel in pixels; height and width of the images must be multiples of it.
        iterations: sweeps of pixel updates.
        histogram_bins: per colour channel.
        prior: smoothing of the borders, 0..5.
        num_levels: of the block hierarchy.
    """

    def __init__(
        self, size: int = 16, iterations: int = 15, histogram_bins: int = 5, prior: int = 2, num_levels: int = 1
    ):
        super().__init__(size)
        self.iterations = iterations
        self.histogram_bins = histogram_bins
        self.prior = prior
        self.num_levels = num_levels

    def check(self, height: int, width: int) -> None:
        """Check that OpenCV makes as many superpixels as it is asked for (of 576 at 640x480 it makes 480).

        Raises:
            ValueError: naming both numbers, or for a size at which OpenCV crashes or never ends.
            ImportError: without OpenCV's contrib modules.
        """
        if self.size < SMALLEST_SEEDS:
            raise ValueError(
                f"SeedsSuperpixels: `size` is {self.size}, but SEEDS moves pixels between superpixels of several; "
                f"set `superpixels.init_args.size` to {SMALLEST_SEEDS} or more, or take datamodules.GridSuperpixels"
            )
        if self.count(height, width) > 1:
            self._create(height, width)

    def segment(self, image: Image) -> NDArray[Any]:
        """Return ids of a contiguous image."""
        import cv2

        self.check(*image.shape[:2])
        if self.count(*image.shape[:2]) == 1:  # OpenCV makes four, or never comes back
            return np.zeros(image.shape[:2], np.int64)
        seeds = self._create(*image.shape[:2])
        seeds.iterate(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), self.iterations)
        return seeds.getLabels()

    def _create(self, height: int, width: int) -> Any:
        count = self.count(height, width)
        seeds = _seeds(width, height, count, self.num_levels, self.prior, self.histogram_bins)
        made = seeds.getNumberOfSuperpixels()
        if made != count:
            fits = height % self.size == width % self.size == 0
            fix = (
                "it halves blocks from 2 or 3 pixels up, as sizes 8, 12, 16, 24 and 32 allow: set one of them"
                if fits
                else f"make height and width multiples of {self.size} (`crop`, `resize`, `eval_size`) or set another"
            )
            raise ValueError(
                f"SeedsSuperpixels: OpenCV makes {made} superpixels of a {height}x{width} image where {count} of "
                f"{self.size}x{self.size} pixels are due; {fix} (`superpixels.init_args.size`)"
            )
        return seeds


@lru_cache(maxsize=4)
def _seeds(width: int, height: int, count: int, num_levels: int, prior: int, histogram_bins: int) -> Any:
    """OpenCV's SEEDS, made once per process: that takes 2 ms of 25, and every image starts from the grid again anyway.

    Not an attribute of :class:`SeedsSuperpixels`, since it cannot be pickled to workers.
    """
    import cv2

    if not hasattr(cv2, "ximgproc"):
        raise ImportError(
            "SeedsSuperpixels needs `cv2.ximgproc`, which OpenCV as installed lacks: install opencv-contrib-python (on "
            "a server opencv-contrib-python-headless) in place of every other opencv package, or take others "
            "with `data.init_args.superpixels.class_path: datamodules.SlicSuperpixels`"
        )
    return cv2.ximgproc.createSuperpixelSEEDS(width, height, 3, count, num_levels, prior, histogram_bins, False)


class SlicSuperpixels(Superpixels):
    """SLIC: Achanta et al., "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods", PAMI 2012, in Lab.

    SLIC does not promise a number. Where it makes more than :meth:`count`, the smallest are merged into the neighbour
    with the longest common border; where it makes fewer, the last ids are empty. In noise it joins nearly all of them:
    where fewer than half come out, distance is given more weight until they do.

    Args:
        size: edge of a superpixel in pixels, on average.
        compactness: weight of distance against colour.
    """

    def __init__(self, size: int = 16, compactness: float = 10.0):
        super().__init__(size)
        self.compactness = compactness

    def segment(self, image: Image) -> NDArray[Any]:
        """Return ids of a contiguous image."""
        from skimage.segmentation import slic

        count, compactness = self.count(*image.shape[:2]), self.compactness
        labels = slic(image, n_segments=count, compactness=compactness, start_label=0)
        while 2 * (labels.max() + 1) < count and compactness < MOST_COMPACT:
            compactness *= 10
            labels = slic(image, n_segments=count, compactness=compactness, start_label=0)
        while labels.max() >= count:
            labels = merge_smallest(labels)
        return labels


class GridSuperpixels(Superpixels):
    """Rectangles, whatever the image shows: the patches of a ViT."""

    def segment(self, image: Image) -> NDArray[Any]:
        """Return ids of an image."""
        height, width = image.shape[:2]
        rows, columns = height // self.size, width // self.size
        row, column = np.arange(height) * rows // height, np.arange(width) * columns // width
        return row[:, None] * columns + column


def merge_smallest(labels: NDArray[Any]) -> NDArray[Any]:
    """Return (H, W) labels 0..n-2: of the segments 0..n-1, the smallest is merged into its main neighbour."""
    smallest = np.bincount(labels.ravel()).argmin()
    inside = labels == smallest
    neighbours = labels[binary_dilation(inside) & ~inside]
    merged = np.where(inside, np.bincount(neighbours).argmax(), labels)
    return merged - (merged > smallest)
