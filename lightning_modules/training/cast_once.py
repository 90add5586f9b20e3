"""Weights cast to autocast's type once a step, all together, instead of one by one where each is used.

Autocast casts a weight at each layer, and each gradient back: two launches a weight, a quarter of all that a step of
DPT-Hybrid has. Here one operator casts all of them, and one casts all gradients back. The numbers are the same: the
same rounding of the same weights, and of the same gradients.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.func import functional_call

from lightning_modules.losses.torch_internals import copy_together

R = TypeVar("R")

#: Layers whose weights autocast casts; norms keep theirs.
CAST_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@torch.library.custom_op("segdepth::cast_together", mutates_args=())
def cast_together(tensors: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Return tensors in another type, each in its own layout, by as few launches as there can be."""
    copies = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    if copies:
        copy_together(copies, tensors)
    return copies


@cast_together.register_fake
def _shapes(tensors: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    return [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]


class _CastTogether(torch.autograd.Function):
    """The cast of parameters of one type; weights that got no gradient get none."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *parameters: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.original = parameters[0].dtype
        copies: list[Tensor] = cast_together(list(parameters), dtype)
        return tuple(copies)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        present = [gradient for gradient in gradients if gradient is not None]
        casted = iter(cast_together(present, ctx.original))
        return None, *(None if gradient is None else next(casted) for gradient in gradients)


def cast_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return the trained float32 parameters that autocast would cast, by name."""
    return {
        f"{name}.{own}" if name else own: parameter
        for name, module in network.named_modules()
        if isinstance(module, CAST_LAYERS)
        for own, parameter in module.named_parameters(recurse=False)
        if parameter.requires_grad and parameter.dtype == torch.float32
    }


def call_with_cast_weights(network: Callable[..., R], *inputs: Tensor) -> R:
    """Call a network, in training under autocast with all its weights cast together before it begins.

    Elsewhere, and where several processes train, whose gradients are exchanged while others are still computed, it is
    called as it is.

    Args:
        network: a module.
        inputs: its arguments; the first tells the device.
    """
    assert isinstance(network, nn.Module)
    device = inputs[0].device.type
    shared = distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
    if shared or not torch.is_grad_enabled() or not torch.is_autocast_enabled(device) or torch.compiler.is_compiling():
        return network(*inputs)
    parameters = cast_parameters(network)
    if not parameters:
        return network(*inputs)
    weights = _CastTogether.apply(torch.get_autocast_dtype(device), *parameters.values())
    return functional_call(network, dict(zip(parameters, weights, strict=True)), inputs)
