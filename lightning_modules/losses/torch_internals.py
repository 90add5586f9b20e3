"""What this suite uses of torch beyond its documented interface; ``tests/test_library_internals.py`` watches it."""

from torch.distributed.nn.functional import all_reduce as differentiable_all_reduce

__all__ = [
    # A sum over processes with a gradient: the documented `all_reduce` has none. Torch 2.13 warns that it will go, and
    # names as its successor a module that is private as well.
    "differentiable_all_reduce",
]
