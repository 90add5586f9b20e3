"""Sums and means over all processes, through which gradients flow."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor
from torch import distributed as dist

from lightning_modules.losses.torch_internals import differentiable_all_reduce

_alone: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def this_process_alone() -> Iterator[None]:
    """Take sums over this process only, inside a ``with``.

    Validation needs it: one process may have a frame more than another, and would wait forever for the other's sum.
    """
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def _several() -> bool:
    """Tell whether other processes take part."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1 and not _alone.get()


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, on each of them; in a single process the tensor itself.

    DDP averages gradients over processes. That is the gradient of a loss of the whole batch only if the loss is a mean
    over images; a mean over pixels, say, weighs pixels of a process with few of them more. So numerator and denominator
    are summed over processes: each has the loss of the whole batch, and since the sum passes each process the gradients
    of all, DDP's average is the gradient of that loss.

    Args:
        values: any shape, the same on every process.
    """
    if not _several():
        return values
    if not torch.is_grad_enabled():
        values = values.clone()
        dist.all_reduce(values)
        return values
    total: Tensor = differentiable_all_reduce(values)
    return total


def masked_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean over the batches of all processes; 0 with zero gradients where all weights are zero.

    Args:
        values: any shape; where the weight is 0 they may hold anything.
        weight: of the same shape, bool or not negative.
    """
    weight = weight.to(values.dtype)
    sums = torch.stack([(values.where(weight > 0, 0.0) * weight).sum(), weight.sum()])
    total, weights = sum_over_processes(sums)
    return total / weights.where(weights > 0, 1.0)


def max_over_processes(values: Tensor) -> Tensor:
    """Return the maximum of a tensor over all processes, element by element, without gradient.

    Args:
        values: any shape, the same on every process.
    """
    values = values.detach().clone()
    if _several():
        dist.all_reduce(values, op=dist.ReduceOp.MAX)
    return values
