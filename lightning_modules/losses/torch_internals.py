"""What this suite uses of torch beyond its documented interface; ``tests/test_library_internals.py`` watches it."""

import torch
from torch.distributed.nn.functional import all_reduce as differentiable_all_reduce

__all__ = [
    # Many small tensors by few launches, between types too: torch's own optimizers and gradient scaling are made of it,
    # and no documented function copies so.
    "copy_together",
    # A sum over processes with a gradient: the documented `all_reduce` has none. Torch 2.13 warns that it will go, and
    # names as its successor a module that is private as well.
    "differentiable_all_reduce",
    # Blocks of one class share a counter of recompilations, and a ResNet's differ in shape more often than its eight.
    # `torch.compiler.config` has the setting only in later versions than the oldest that is allowed.
    "raise_recompile_limit",
]

copy_together = torch._foreach_copy_


def raise_recompile_limit(limit: int) -> None:
    """Let one piece of code be compiled up to ``limit`` times, or more often if that is allowed already."""
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, limit)
