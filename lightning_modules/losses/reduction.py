"""Sums and means over all processes, through which gradients flow."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.nn import functional as dist_functional

_alone: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def this_process_alone() -> Iterator[None]:
    """Take sums over this process only: in validation, where one process may have a frame more than the next."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def _several() -> bool:
    """Whether other processes take part."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1 and not _alone.get()


def sum_over_processes(values: Tensor) -> Tensor:
    """Sum of a tensor over all processes, on each of them; the tensor itself in a single process.

    A loss that is not a mean over images differs between the batch of one process and the parts of it that several
    have, unless its sums are taken over all of them. Every process then has the loss of the whole batch, and the mean
    of the processes' gradients, which DDP takes, is the gradient of that loss: in the backward pass the sum gives each
    process the gradients of all.

    Args:
        values: any shape, the same on every process.
    """
    if not _several():
        return values
    if not torch.is_grad_enabled():
        values = values.clone()
        dist.all_reduce(values)
        return values
    total: Tensor = dist_functional.all_reduce(values)
    return total


def masked_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean over the batches of all processes; 0 with zero gradients where all weights are zero.

    Args:
        values: any shape; where the weight is 0 they may hold anything.
        weight: of the same shape, bool or not negative.
    """
    weight = weight.to(values.dtype)
    sums = torch.stack([(values.where(weight > 0, 0.0) * weight).sum(), weight.sum()])
    total, weights = sum_over_processes(sums)
    return total / weights.where(weights > 0, 1.0)


def max_over_processes(values: Tensor) -> Tensor:
    """Largest of a tensor's values over all processes, element by element, without gradient.

    Args:
        values: any shape, the same on every process.
    """
    values = values.detach().clone()
    if _several():
        dist.all_reduce(values, op=dist.ReduceOp.MAX)
    return values
