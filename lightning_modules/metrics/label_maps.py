"""Label maps as places in a table: what sums over segments or objects without a loop over them needs."""

import torch
from torch import Tensor


def check_labels(target: Tensor, labels: Tensor, what: str = "labels") -> None:
    """Refuse labels that are not on the truth's grid.

    Args:
        target: (B, 1, H, W) true depth.
        labels: what should be integers (B, H, W).
        what: the labels' name in the error.

    Raises:
        ValueError: if they are not.
    """
    if labels.shape != target[:, 0].shape or labels.is_floating_point():
        raise ValueError(
            f"{what} must be integers of shape (B, H, W) = {tuple(target[:, 0].shape)}, "
            f"got {labels.dtype} {tuple(labels.shape)}"
        )


def compact_ids(labels: Tensor) -> Tensor:
    """Renumber ids, as sparse as label x 65536 + instance, so that a table may have a column per id.

    Args:
        labels: (B, H, W) int64 ids >= 0.

    Returns:
        (B, H, W) ids 0, 1, ..., N in the same order, all used by the batch; only 0, which stays 0, may be missing.
    """
    # Of runs instead of pixels, for `unique` sorts; the leading 0 keeps "none" the smallest id.
    runs, run = torch.unique_consecutive(labels, return_inverse=True)
    _, ids = torch.cat([runs.new_zeros(1), runs]).unique(return_inverse=True)
    return ids[1:][run]


def table_places(labels: Tensor) -> tuple[Tensor, int]:
    """Return places of the pixels in a flattened table with one row per image and one column per id.

    Args:
        labels: (B, H, W) int64 ids >= 0.

    Returns:
        (B, H, W) places, and the number of columns. Ids are those of :func:`compact_ids`; column 0 is id 0.
    """
    ids = compact_ids(labels)
    columns = int(ids.max()) + 1
    return ids + columns * torch.arange(len(ids), device=ids.device).view(-1, 1, 1), columns
