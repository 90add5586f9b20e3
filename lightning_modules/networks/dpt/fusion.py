"""RefineNet-style fusion, as the Dense Prediction Transformer uses it.

Ranftl, Bochkovskiy, Koltun, "Vision Transformers for Dense Prediction", ICCV 2021, section 3.2 and Fig. 1 (right).
segmentation-models-pytorch has these blocks with batch normalisation, which DPT leaves out for depth, and with a fixed
doubling of the size, which SHED does not want.
"""

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.networks.resizing import resize_bilinear

#: How a skip map joins the path: as it is, or refined by a residual unit first.
MapFusionRule = Literal["add", "refine"]


class ResidualConvUnit(nn.Module):
    """x + conv3x3(relu(conv3x3(relu(x)))), no normalisation.

    Args:
        width: channels of the map (B, width, h, w), kept.
    """

    def __init__(self, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Refine a map (B, width, h, w)."""
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class FusionBlock(nn.Module):
    """Add a skip map to the path, refine, project, and resize.

    Args:
        width: channels of path and skip.
        refine_skip: pass a skip map through a residual unit before it is added, as in DPT; of no use in the coarsest
            block, which has no skip.
    """

    def __init__(self, width: int, *, refine_skip: bool = True):
        super().__init__()
        self.skip_unit = ResidualConvUnit(width) if refine_skip else None
        self.unit = ResidualConvUnit(width)
        self.project = nn.Conv2d(width, width, 1)

    def forward(self, path: Tensor, skip: Tensor | None = None, *, size: tuple[int, int] | None = None) -> Tensor:
        """Fuse the path with a skip map.

        Args:
            path: (B, width, h, w), result of the coarser level.
            skip: (B, width, h, w), or None where nothing is to be added.
            size: (h', w') of the result; None keeps (h, w).

        Returns:
            (B, width, h', w').
        """
        if skip is not None:
            path = path + (skip if self.skip_unit is None else self.skip_unit(skip))
        # The release resizes first. A 1x1 convolution commutes with interpolation (the weights of each output pixel sum
        # to one) and costs a quarter before a doubling.
        path = self.project(self.unit(path))
        if size is None or path.shape[-2:] == size:
            return path
        return resize_bilinear(path, size)


def fuse_pyramid(blocks: nn.ModuleList, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """Fuse maps from coarse to fine, each block resizing to the next finer map, the last one to ``size``.

    Args:
        blocks: a :class:`FusionBlock` for each map, in the order of the maps; the last one without a skip.
        maps: (B, width, h_l, w_l), fine to coarse.
        size: of the result.

    Returns:
        (B, width, *size).
    """
    sizes = [size, *((m.shape[-2], m.shape[-1]) for m in maps[:-1])]
    path = blocks[-1](maps[-1], size=sizes[-1])
    for level in reversed(range(len(maps) - 1)):
        path = blocks[level](path, maps[level], size=sizes[level])
    return path
