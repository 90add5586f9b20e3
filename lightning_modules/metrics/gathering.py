"""Gathering of states that are lists of rows from all processes, of which some may have seen no image."""

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torchmetrics.utilities.distributed import gather_all_tensors


def gather_rows(rows: Tensor, group: Any = None) -> list[Tensor]:
    """Return the rows of each process; for the ``dist_sync_fn`` of a metric whose states are lists.

    Torchmetrics' own gathering needs the same dtype and number of axes everywhere, but enters a process without
    data with an empty vector of floats. Here such a process takes both from one that has data.

    Args:
        rows: (N, ...) rows of this process; an empty vector if it has none.
        group: as in :func:`torch.distributed.all_gather`.

    Returns:
        (N_i, ...) rows of process i; an empty vector if no process has any.
    """
    kinds: list[tuple[torch.dtype, torch.Size] | None] = [None] * dist.get_world_size(group)
    dist.all_gather_object(kinds, (rows.dtype, rows.shape[1:]) if len(rows) else None, group)
    kind = next((kind for kind in kinds if kind), None)
    if kind is None:
        return [rows]
    dtype, shape = kind
    gathered: list[Tensor] = gather_all_tensors(rows if len(rows) else rows.new_empty((0, *shape), dtype=dtype), group)
    return gathered
