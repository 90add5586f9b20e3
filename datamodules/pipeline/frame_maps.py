"""Maps of whole frames that are too expensive to make for every view: made once, kept on disk."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor

from datamodules.frames import Frame
from datamodules.pipeline.region_support_target import RegionSupport
from datamodules.pipeline.superpixels import Superpixels
from datamodules.pipeline.transforms import Size, resize_image, resize_map


class FrameMap(ABC):
    """Maps of a whole frame, a pure function of it.

    Attributes:
        keys: of a sample.
        needs: keys of the frame's maps that they are made of.
    """

    keys: ClassVar[frozenset[str]]
    needs: ClassVar[frozenset[str]]

    @abstractmethod
    def __call__(self, frame: Frame) -> dict[str, Tensor]:
        """Return the maps by key, each (..., H, W)."""


class FrameSuperpixels(FrameMap):
    """Superpixels of a whole frame, of which crops then take their part.

    Args:
        algorithm: how they are made.
        size: height and width of the frame that they are made of, no larger than its own; each pixel of the frame gets
            the id of the pixel nearest to it, so that the frame's map, brought to ``size``, is what was made. None
            takes the frame as it is.
    """

    keys = frozenset({"superpixels"})
    needs = frozenset()

    def __init__(self, algorithm: Superpixels, size: Size | None = None):
        self.algorithm = algorithm
        if size is not None:  # stores are known by the attributes: those made before there were sizes have none
            self.size = tuple(size)

    def __call__(self, frame: Frame) -> dict[str, Tensor]:
        """Return ``superpixels``, (H, W) int64."""
        image = resize_image(frame.image, getattr(self, "size", frame.size))
        ids = torch.from_numpy(self.algorithm(image.permute(1, 2, 0).numpy()))
        return {"superpixels": resize_map(ids, frame.size)}


class RegionSupportTarget(FrameMap):
    """Region support and refined regions of the truth: Region Support Network, Algorithm 1.

    The regions are those of ``semantics``: set the data set's ``classes: 894`` for the paper's.

    Args:
        bins: depth bins over the whole image.
        min_fill: population of a bin, as a share of the average, below which it is merged into the next.
        link: which pixels of a class are neighbours: within a distance of 2 pixels, or the 8 or 4 next ones.
        unlabeled: what pixels without a class get.
        split: what becomes of sparse bins, ``merged`` with the next, or dropped, as the listing is ``printed``.
        regions: of the losses, the ``refined`` ones of the support, or the ``connected`` ones that are cut into them.
    """

    keys = RegionSupport.provides
    needs = frozenset({"semantics"})

    def __init__(
        self,
        bins: int = 10,
        min_fill: float = 1.0,
        link: Literal["dist2", "8", "4"] = "dist2",
        unlabeled: Literal["zero", "depth_components", "nearest"] = "zero",
        split: Literal["merged", "printed"] = "merged",
        regions: Literal["refined", "connected"] = "refined",
    ):
        self.algorithm = RegionSupport(bins, min_fill, link, unlabeled, split, regions)

    def __call__(self, frame: Frame) -> dict[str, Tensor]:
        """Return ``region_support``, (1, H, W) float32 metres, and ``regions``, (H, W) int64."""
        support, regions = self.algorithm(frame.maps["semantics"].numpy(), frame.maps["depth"][0].numpy())
        return {"region_support": torch.from_numpy(support)[None], "regions": torch.from_numpy(regions)}
