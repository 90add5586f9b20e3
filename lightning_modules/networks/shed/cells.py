"""S_0, the assignment of cells of the feature grid to superpixels: averaging cells and spreading tokens back.

The paper's S_0 is an (h w) x n_0 matrix at pixel resolution, while features live on an h_0 x w_0 grid. Two readings:

* ``nearest``: each cell belongs to the superpixel of one pixel. S_0 is one-hot and kept as ids, (B, h0*w0) int64;
* ``area``: each cell belongs to superpixels by the share of its pixels, (B, h0*w0, n0) float32, rows summing to 1.

Averaging and spreading use one and the same S_0.
"""

import torch
from torch import Tensor

from lightning_modules.networks.shed.options import CellRule

Grid = tuple[int, int]


def assign_cells(superpixels: Tensor, grid: Grid, num_superpixels: int, rule: CellRule = "nearest") -> Tensor:
    """Return S_0 on the feature grid.

    Args:
        superpixels: (B, H, W) int64 ids in 0..num_superpixels-1; an id may be empty.
        grid: (h0, w0), at most (H, W).
        num_superpixels: n0, fixed by the image size and never by the ids that happen to occur.
        rule: ``nearest`` or ``area``.

    Returns:
        (B, h0*w0) int64 ids for ``nearest``, (B, h0*w0, n0) float32 shares for ``area``.

    Raises:
        ValueError: if an id is out of range. Checked on CPU tensors only: on an accelerator it would cost a
            synchronisation, and there the device's own index assertion fires.
    """
    if superpixels.device.type == "cpu" and not torch.compiler.is_compiling():
        low, high = (bound.item() for bound in superpixels.aminmax())
        if low < 0 or high >= num_superpixels:
            raise ValueError(
                f"`superpixels` holds ids {low}..{high}, but this image size allows 0..{num_superpixels - 1}; "
                "renumber them, or set `superpixel_size` to that of the data"
            )
    return _nearest(superpixels, grid) if rule == "nearest" else _area(superpixels, grid, num_superpixels)


def _nearest(superpixels: Tensor, grid: Grid) -> Tensor:
    rows, columns = (
        torch.arange(cells, device=superpixels.device) * pixels // cells
        for cells, pixels in zip(grid, superpixels.shape[1:], strict=True)
    )
    return superpixels[:, rows[:, None], columns].flatten(1)


def _area(superpixels: Tensor, grid: Grid, num_superpixels: int) -> Tensor:
    rows, columns = (
        torch.arange(pixels, device=superpixels.device) * cells // pixels
        for cells, pixels in zip(grid, superpixels.shape[1:], strict=True)
    )
    cell = (rows[:, None] * grid[1] + columns).flatten()
    entry = cell * num_superpixels + superpixels.flatten(1)
    pixels = torch.zeros(superpixels.shape[0], grid[0] * grid[1] * num_superpixels, device=superpixels.device)
    pixels = pixels.scatter_add(1, entry, torch.ones_like(entry, dtype=pixels.dtype))
    pixels = pixels.unflatten(1, (-1, num_superpixels))
    return pixels / pixels.sum(2, keepdim=True)


def segment_mean(features: Tensor, cells: Tensor, num_superpixels: int) -> tuple[Tensor, Tensor]:
    """Return superpixel tokens Z_0 = (S_0^T F) / (S_0^T 1) (SHED, section 3.1, "Tokenization").

    Sums are in float32 at least, whatever the autocast type.

    Args:
        features: F, (B, d, h0, w0).
        cells: S_0 in either form, as :func:`assign_cells` returns it.
        num_superpixels: n0.

    Returns:
        Tokens (B, n0, d), and a mask (B, n0) bool of superpixels that own no part of any cell; their tokens are zero.
    """
    with torch.autocast(features.device.type, enabled=False):
        values = features.flatten(2).mT
        values = values.to(torch.promote_types(values.dtype, torch.float32))
        if cells.is_floating_point():
            total, mass = cells.to(values.dtype).mT @ values, cells.sum(1)
        else:
            empty = values.new_zeros(values.shape[0], num_superpixels, values.shape[2])
            total = empty.scatter_add(1, cells[..., None].expand_as(values), values)
            mass = empty[..., 0].scatter_add(1, cells, values.new_ones(cells.shape))
        pad = mass == 0
        return total / mass.masked_fill(pad, 1)[..., None], pad


def spread(tokens: Tensor, cells: Tensor, grid: Grid) -> Tensor:
    """Return the feature map F = S_0 T (SHED, section 3.2, "Unpooling spatial features").

    A gather for one-hot cells: the (h0*w0) x n0 matrix is never formed.

    Args:
        tokens: T, (B, n0, d).
        cells: S_0 in either form, as :func:`assign_cells` returns it.
        grid: (h0, w0).

    Returns:
        F, (B, d, h0, w0).
    """
    if cells.is_floating_point():
        maps = cells.to(tokens.dtype) @ tokens
    else:
        maps = tokens.gather(1, cells[..., None].expand(-1, -1, tokens.shape[2]))
    return maps.mT.unflatten(2, grid)
