"""The fixed 2-D sinusoidal positions that SHED adds to its convolution features before they become tokens."""

import torch
from timm.layers import build_sincos2d_pos_embed
from torch import Tensor


def sincos_positions(
    height: int, width: int, dim: int, device: torch.device | None = None, *, rows_first: bool = False
) -> Tensor:
    """Return the sinusoidal position of every cell of a grid (SHED, section 3.1, "Tokenization").

    With x the column, y the row and frequencies omega_k = 10000^(-4k/d), k = 0..d/4-1, the channels are the quarters
    [sin(x omega), cos(x omega), sin(y omega), cos(y omega)].

    Args:
        height: rows of the grid.
        width: columns of the grid.
        dim: d, a multiple of four.
        device: where to build the table.
        rows_first: put the channels of y before those of x, as CAST's release does.

    Returns:
        (height * width, dim) float32, cells in row-major order.
    """
    table = build_sincos2d_pos_embed([height, width], dim, interleave_sin_cos=True, device=device)
    return table if rows_first else table.roll(dim // 2, dims=1)  # timm puts the rows' half first
