"""Objects of all processes, brought together."""

from typing import TypeVar

import torch.distributed as dist

T = TypeVar("T")


def gather_objects(own: T) -> list[T]:
    """Return the objects of all processes, by rank, on each of them; every process must call it.

    Metrics gather tensors of rows by :func:`lightning_modules.metrics.gathering.gather_rows` instead, which does not
    pickle them.

    Args:
        own: object of this process; it is pickled where there are several.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return [own]
    gathered: list[T] = [own] * dist.get_world_size()
    dist.all_gather_object(gathered, own)
    return gathered
