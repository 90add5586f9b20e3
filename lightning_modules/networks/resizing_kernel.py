"""The CUDA path of ``segdepth::resize_bilinear``: Triton kernels for both directions and both layouts.

With r = (h - 1) / (h' - 1), output row o reads input rows floor(r o) and the next; input row i, backward, gathers from
the output rows o with |r o - i| < 1, with weight 1 - |r o - i|. Columns likewise. A program makes part of one row of
one image, ``columns`` by ``channels``; maps of the default layout are taken as images of one channel each.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from lightning_modules.networks.map_layout import layout


@triton.jit
def resize_rows(
    maps: tl.tensor, resized: tl.tensor, in_h: int, in_w: int, out_h: int, out_w: int, depth: int,
    ratio_h: float, ratio_w: float, columns: tl.constexpr, channels: tl.constexpr,
) -> None:  # fmt: skip
    """Compute a part of row ``program_id(0) % out_h`` of one resized image, stored as (h, w, depth)."""
    image, row = tl.program_id(0) // out_h, tl.program_id(0) % out_h
    column = tl.program_id(1) * columns + tl.arange(0, columns)
    channel = tl.program_id(2) * channels + tl.arange(0, channels)
    inside = (column[:, None] < out_w) & (channel[None, :] < depth)
    source_y, source_x = row * ratio_h, column * ratio_w
    top, left = tl.minimum(source_y.to(tl.int32), in_h - 1), tl.minimum(source_x.to(tl.int32), in_w - 1)
    bottom, right = tl.minimum(top + 1, in_h - 1), tl.minimum(left + 1, in_w - 1)
    down, along = source_y - top, (source_x - left)[:, None]
    base = maps + image.to(tl.int64) * in_h * in_w * depth + channel[None, :]
    a = tl.load(base + (top * in_w + left)[:, None] * depth, mask=inside, other=0).to(tl.float32)
    b = tl.load(base + (top * in_w + right)[:, None] * depth, mask=inside, other=0).to(tl.float32)
    c = tl.load(base + (bottom * in_w + left)[:, None] * depth, mask=inside, other=0).to(tl.float32)
    d = tl.load(base + (bottom * in_w + right)[:, None] * depth, mask=inside, other=0).to(tl.float32)
    value = (1 - down) * ((1 - along) * a + along * b) + down * ((1 - along) * c + along * d)
    place = resized + tl.program_id(0).to(tl.int64) * out_w * depth + column[:, None] * depth + channel[None, :]
    tl.store(place, value.to(resized.dtype.element_ty), mask=inside)


@triton.jit
def gather_rows(
    gradient: tl.tensor, result: tl.tensor, in_h: int, in_w: int, out_h: int, out_w: int, depth: int,
    ratio_h: float, ratio_w: float, taps_h: tl.constexpr, taps_w: tl.constexpr,
    columns: tl.constexpr, channels: tl.constexpr,
) -> None:  # fmt: skip
    """Compute a part of row ``program_id(0) % in_h`` of the gradient of one image, stored as (h, w, depth)."""
    image, row = tl.program_id(0) // in_h, tl.program_id(0) % in_h
    column = tl.program_id(1) * columns + tl.arange(0, columns)
    channel = tl.program_id(2) * channels + tl.arange(0, channels)
    inside = (column[:, None] < in_w) & (channel[None, :] < depth)
    first_y = tl.where(row > 0, ((row - 1) / ratio_h).to(tl.int32) + 1, 0)
    first_x = tl.where(column > 0, ((column - 1) / ratio_w).to(tl.int32) + 1, 0)
    base = gradient + image.to(tl.int64) * out_h * out_w * depth + channel[None, :]
    total = tl.zeros((columns, channels), dtype=tl.float32)
    for i in tl.static_range(taps_h):
        y = first_y + i
        weight_y = tl.where(y < out_h, tl.maximum(1 - tl.abs(y * ratio_h - row), 0.0), 0.0)
        line = tl.zeros((columns, channels), dtype=tl.float32)
        for j in tl.static_range(taps_w):
            x = first_x + j
            weight_x = tl.maximum(1 - tl.abs(x * ratio_w - column), 0.0)
            read = inside & (x[:, None] < out_w) & (y < out_h)
            place = base + (y * out_w + x)[:, None] * depth
            line += weight_x[:, None] * tl.load(place, mask=read, other=0).to(tl.float32)
        total += weight_y * line
    place = result + tl.program_id(0).to(tl.int64) * in_w * depth + column[:, None] * depth + channel[None, :]
    tl.store(place, total.to(result.dtype.element_ty), mask=inside)


def blocks(width: int, depth: int) -> tuple[int, int]:
    """Return columns and channels of a program's tile: 1024 numbers at most, as many neighbours in memory as it can."""
    channels = min(triton.next_power_of_2(depth), 128)
    return min(triton.next_power_of_2(width), 1024 // channels), channels


def taps(ratio: float) -> int:
    """Return how many outputs read one input at most: integers in an open interval of length 2 / ratio."""
    return math.ceil(2 / ratio)


def resize_triton(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Compute :func:`~lightning_modules.networks.resizing.resize_bilinear`, sides greater than 1, by Triton."""
    maps, resized, images, depth = _prepare(maps, size)
    (in_h, in_w), (out_h, out_w) = maps.shape[-2:], size
    columns, channels = blocks(out_w, depth)
    grid = (images * out_h, triton.cdiv(out_w, columns), triton.cdiv(depth, channels))
    ratios = ((in_h - 1) / (out_h - 1), (in_w - 1) / (out_w - 1))
    resize_rows[grid](maps, resized, in_h, in_w, out_h, out_w, depth, *ratios, columns=columns, channels=channels)
    return resized


def resize_backward_triton(gradient: Tensor, size: tuple[int, int]) -> Tensor:
    """Compute the gradient of maps of a size, (B, c, *size), of the gradient of the resized ones."""
    gradient, result, images, depth = _prepare(gradient, size)
    (out_h, out_w), (in_h, in_w) = gradient.shape[-2:], size
    columns, channels = blocks(in_w, depth)
    grid = (images * in_h, triton.cdiv(in_w, columns), triton.cdiv(depth, channels))
    ratio_h, ratio_w = (in_h - 1) / (out_h - 1), (in_w - 1) / (out_w - 1)
    gather_rows[grid](
        gradient, result, in_h, in_w, out_h, out_w, depth, ratio_h, ratio_w,
        taps_h=taps(ratio_h), taps_w=taps(ratio_w), columns=columns, channels=channels,
    )  # fmt: skip
    return result


def _prepare(maps: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, int, int]:
    """Return maps in one of two layouts, an empty result in the same, and both as ``images`` of ``depth`` channels."""
    chosen = layout(maps)
    maps = maps.contiguous(memory_format=chosen)
    result = torch.empty((*maps.shape[:2], *size), dtype=maps.dtype, device=maps.device, memory_format=chosen)
    batch, depth = maps.shape[:2]
    return (maps, result, batch, depth) if chosen == torch.channels_last else (maps, result, batch * depth, 1)
