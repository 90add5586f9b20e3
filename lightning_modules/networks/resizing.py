"""Bilinear resizing with aligned corners in the type of the map: one operator, forward and backward.

Autocast makes `torch.nn.functional.interpolate` compute in float32, so that the largest maps of a decoder are written,
read and cast back at twice their size. Here maps keep their type; weights and sums are in float32 inside the kernels.
On CUDA both directions are Triton kernels that read and write whole lines of memory in either layout
(:mod:`.resizing_kernel`), and the backward gathers: no atomic additions, so it is deterministic.
"""

from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.networks.map_layout import layout

#: Types that the kernels take.
KERNEL_TYPES = (torch.float32, torch.bfloat16, torch.float16)
HAS_TRITON = find_spec("triton") is not None  # not on Windows


def resize_bilinear(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps (B, c, h, w) to (B, c, *size), corners aligned, in their own type whatever autocast says."""
    kernel = HAS_TRITON and maps.device.type == "cuda" and maps.dtype in KERNEL_TYPES
    if kernel and min(*size, *maps.shape[-2:]) > 1:
        resized: Tensor = _resize(maps, *size)
        return resized
    with torch.autocast(maps.device.type, enabled=False):
        return F.interpolate(maps, size, mode="bilinear", align_corners=True)


@torch.library.custom_op("segdepth::resize_bilinear", mutates_args=(), device_types="cuda")
def _resize(maps: Tensor, height: int, width: int) -> Tensor:
    from lightning_modules.networks.resizing_kernel import resize_triton

    return resize_triton(maps, (height, width))


@torch.library.custom_op("segdepth::resize_bilinear_backward", mutates_args=(), device_types="cuda")
def _resize_backward(gradient: Tensor, height: int, width: int) -> Tensor:
    from lightning_modules.networks.resizing_kernel import resize_backward_triton

    return resize_backward_triton(gradient, (height, width))


@_resize.register_fake
@_resize_backward.register_fake
def _shape(maps: Tensor, height: int, width: int) -> Tensor:
    shape = (*maps.shape[:2], height, width)
    return torch.empty(shape, dtype=maps.dtype, device=maps.device, memory_format=layout(maps))


def _keep_size(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.size = inputs[0].shape[-2:]


def _gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    return _resize_backward(gradient, *ctx.size), None, None


_resize.register_autograd(_gradient, setup_context=_keep_size)
