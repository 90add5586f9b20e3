"""Large images in overlapping tiles: details of each, on the depth that the whole shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Share of a tile that it has in common with the next one.
OVERLAP = 0.25

Size = tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """A window of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, map_: Tensor) -> Tensor:
        """Return the window of a map (..., H, W), as a view."""
        return map_[..., self.top : self.top + self.height, self.left : self.left + self.width]


def split(size: Size, count: int) -> list[Tile]:
    """Return ``count`` x ``count`` tiles of an image, of one size and evenly spread; none for a count of 1.

    Args:
        size: height and width of the image.
        count: tiles along each side.

    Raises:
        ValueError: if there are more tiles than pixels.
    """
    if count == 1:
        return []
    if not 1 < count <= min(size) // 8:
        raise ValueError(f"`--tiles {count}`: need 1 to {max(1, min(size) // 8)} for {size[0]}x{size[1]} pixels")
    share = 1 / (count - (count - 1) * OVERLAP)
    height, width = (-int(-side * share // 1) for side in size)
    tops, lefts = (
        [round(place * (side - length) / (count - 1)) for place in range(count)]
        for side, length in zip(size, (height, width), strict=True)
    )
    return [Tile(top, left, height, width) for top in tops for left in lefts]


def blend(whole: Tensor, tiles: Sequence[Tile], depths: Sequence[Tensor]) -> Tensor:
    """Return the depth of tiles, joined without seams.

    Each tile shows things larger than the whole image does, hence nearer, by a factor that is the same all over it: it
    is brought to the depth that the whole image has there by the median ratio of the two.

    Args:
        whole: (1, H, W) depth of the whole image; NaN where there is none.
        tiles: where each depth belongs.
        depths: (1, h, w), of each tile.
    """
    total, weights = torch.zeros_like(whole), torch.zeros_like(whole)
    for tile, depth in zip(tiles, depths, strict=True):
        there = tile.cut(whole)
        both = there.isfinite() & depth.isfinite() & (depth > 0) & (there > 0)
        factor = (there[both] / depth[both]).median() if both.any() else depth.new_tensor(1.0)
        weight = window(tile.height)[:, None] * window(tile.width) * depth.isfinite()
        tile.cut(total).add_((depth * factor).nan_to_num() * weight)
        tile.cut(weights).add_(weight)
    return torch.where(weights > 0, total / weights, torch.nan)


def window(length: int) -> Tensor:
    """Return weights (length,) that rise evenly from an edge over the overlap, and are positive."""
    ramp = max(1, round(length * OVERLAP))
    from_edge = torch.minimum(torch.arange(1, length + 1), torch.arange(length, 0, -1))
    return (from_edge / ramp).clamp(max=1)
