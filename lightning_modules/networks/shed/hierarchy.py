"""Composition of the assignments P_1, ..., P_L: tokens and labels of a level on superpixels."""

from collections.abc import Sequence

from torch import Tensor

from lightning_modules.networks.shed.unpooling import unpool


def project_to_superpixels(tokens: Tensor, assignments: Sequence[Tensor]) -> Tensor:
    """Return T_l = P_{0->l} Z'_l with P_{0->l} = P_1 ... P_l (SHED, section 3.2, "Unpooling spatial features").

    Evaluated from the right, P_1 (P_2 (... Z'_l)): no product of two assignments is formed.

    Args:
        tokens: Z'_l, (B, n_l, d).
        assignments: P_1, ..., P_l, each (B, n_{i-1}, n_i); empty for l = 0.

    Returns:
        T_l, (B, n_0, d).
    """
    for assignment in reversed(assignments):
        tokens = unpool(tokens, assignment)
    return tokens


def parents(assignment: Tensor) -> Tensor:
    """Return the column (B, n) of the largest entry of each row (B, n, k), the first of equal ones.

    Columns are equal but for round-off where there are fewer distinct tokens than segments, and a seed serves twice.
    """
    largest = assignment.amax(2, keepdim=True)
    return (assignment >= largest * (1 - 1e-6)).int().argmax(2)


def hard_segments(superpixels: Tensor, assignments: Sequence[Tensor]) -> list[Tensor]:
    """Return segmentations S_l = S_{l-1} onehot(argmax_j P_l), fine to coarse (SHED, section 3.1).

    Labels compose by indexing, so each segment lies inside exactly one coarser segment.

    Args:
        superpixels: S_0, (B, H, W) int64 ids in 0..n_0-1.
        assignments: P_1, ..., P_L, each (B, n_{l-1}, n_l).

    Returns:
        L + 1 label maps (B, H, W) int64, S_0 first.
    """
    segments = [superpixels]
    for assignment in assignments:
        segments.append(parents(assignment).gather(1, segments[-1].flatten(1)).view_as(superpixels))
    return segments
