"""A 3x3 convolution of a level map, computed from its tokens: exact, and with fewer multiplications.

The map F = S_0 T has one vector per superpixel, so the product of each kernel tap with a cell's vector is the same all
over a superpixel. With K taps, W_k of shape (c, d) and o_k the offset of tap k,

    conv(F)[cell] = sum_k W_k F[cell + o_k] = sum_k (T W_k^T)[superpixel(cell + o_k)],

where cells outside the map contribute nothing. The products are made once a token (n_0 of them, where the dense
convolution makes one a cell), then gathered and added.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.networks.shed.cells import Grid, spread

#: Side of the kernel.
KERNEL = 3
TAPS = KERNEL * KERNEL

#: From how many cells a token on the products are made from tokens, by type of device, as
#: ``python -m benchmarks.level_convolution_speed`` measures it; elsewhere the dense convolution runs. On CUDA (an H200,
#: batch 1 to 16) it is the faster way at every size: 2.5 to 4.8 times forward, 1.4 to 4.3 times with backward.
CELLS_PER_TOKEN = {"cpu": 2.0}


def convolve_levels(tokens: Tensor, cells: Tensor, grid: Grid, weight: Tensor) -> Tensor:
    """Convolve the map F = S_0 T of a level by the cheaper of two ways with the same result.

    Args:
        tokens: T, (B, n_0, d).
        cells: S_0 in either form, see :mod:`~lightning_modules.networks.shed.cells`; shares of cells (``area``) are not
            constant on superpixels and always convolved densely.
        grid: (h, w) of the map.
        weight: (c, d, 3, 3); the map is padded with one row and column of zeros on each side.

    Returns:
        (B, c, h, w).
    """
    enough = CELLS_PER_TOKEN.get(tokens.device.type)
    if cells.is_floating_point() or enough is None or grid[0] * grid[1] < enough * tokens.shape[1]:
        return convolve_map(tokens, cells, grid, weight)
    return convolve_tokens(tokens, cells, grid, weight)


def convolve_map(tokens: Tensor, cells: Tensor, grid: Grid, weight: Tensor) -> Tensor:
    """Spread tokens over the map and convolve it densely; takes and returns what :func:`convolve_levels` does."""
    return F.conv2d(spread(tokens, cells, grid), weight, padding=KERNEL // 2)


def convolve_tokens(tokens: Tensor, cells: Tensor, grid: Grid, weight: Tensor) -> Tensor:
    """Multiply tokens by all taps, then add up each cell's nine products.

    It takes and returns what :func:`convolve_levels` does; ``cells`` must be ids, (B, h*w) int64.
    """
    batch, count, dim = tokens.shape
    products = tokens @ weight.permute(1, 2, 3, 0).reshape(dim, -1)  # (B, n_0, taps * c)
    table = products.view(batch * count * TAPS, -1)
    outside = table.shape[0]  # the index of a row of zeros; `len` would fix the batch size of an exported program
    sums = F.embedding_bag(product_index(cells, grid, count, outside), F.pad(table, (0, 0, 0, 1)), mode="sum")
    return sums.view(batch, *grid, -1).permute(0, 3, 1, 2)


def product_index(cells: Tensor, grid: Grid, count: int, outside: int) -> Tensor:
    """Return the rows of the table of products, of (image, token, tap), that each cell adds up.

    Args:
        cells: (B, h*w) int64.
        grid: (h, w).
        count: number of tokens of an image.
        outside: index returned for taps beyond the border.

    Returns:
        (B * h * w, 9) int64, taps in row-major order.
    """
    first = torch.arange(cells.shape[0], device=cells.device)[:, None] * count
    border = KERNEL // 2
    padded = F.pad((cells + first).unflatten(1, grid), (border,) * 4, value=-1)
    neighbours = padded.unfold(1, KERNEL, 1).unfold(2, KERNEL, 1).reshape(-1, TAPS)
    index = neighbours * TAPS + torch.arange(TAPS, device=cells.device)
    return index.masked_fill(neighbours < 0, outside)
