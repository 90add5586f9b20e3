"""Sums over all processes, through which gradients flow."""

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.nn import functional as dist_functional


def sum_over_processes(values: Tensor) -> Tensor:
    """Sum of a tensor over all processes, on each of them; the tensor itself in a single process.

    A loss that is not a mean over images differs between the batch of one process and the parts of it that several
    have, unless its sums are taken over all of them. Every process then has the loss of the whole batch, and the mean
    of the processes' gradients, which DDP takes, is the gradient of that loss: in the backward pass the sum gives each
    process the gradients of all.

    Args:
        values: any shape, the same on every process.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return values
    if not torch.is_grad_enabled():
        values = values.clone()
        dist.all_reduce(values)
        return values
    total: Tensor = dist_functional.all_reduce(values)
    return total


def max_over_processes(values: Tensor) -> Tensor:
    """Largest of a tensor's values over all processes, element by element, without gradient.

    Args:
        values: any shape, the same on every process.
    """
    values = values.detach().clone()
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(values, op=dist.ReduceOp.MAX)
    return values
