"""The CUDA path of ``segdepth::seeded_assignment``: farthest point sampling and the assignment in one launch.

Picks depend on each other, so an image takes as long as k reductions over its n distances, however many processors
help; a kernel launch for each would take several times that. The rows of the assignment do not depend on each other:
they are split among the programs of an image, and each program repeats the picks rather than wait for another's.

What libraries do best stays with them: the Gram matrix behind the distances, here, and the pooled means, in
:class:`~lightning_modules.networks.shed.graph_pooling.GraphPooling`, are batched matrix products.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from lightning_modules.networks.shed.assignment_reference import MIN_NORM
from lightning_modules.networks.shed.farthest_point import squared_distances

#: Rows and channels at a time, the least that a product of tiles takes: with more of them, the registers of a program
#: would not hold the assignment to hundreds of seeds.
BLOCK = 16


@triton.jit
def pick_and_assign(
    between: tl.tensor, to_mean: tl.tensor, nodes: tl.tensor, seeds: tl.tensor, assignment: tl.tensor,
    n: int, k: int, dim: int, scale: float, min_norm: float,
    all_tokens: tl.constexpr, all_seeds: tl.constexpr, rows: tl.constexpr, channels: tl.constexpr,
) -> None:  # fmt: skip
    """Compute in program (b, r) the seeds of image b, and ``rows`` rows of its assignment from r * rows on.

    All arrays are contiguous.

    ``between`` (B, n, n) and ``to_mean`` (B, n) are :class:`SquaredDistances`; ``nodes`` are (B, n, dim). Written are
    ``seeds`` (B, k) int64 and ``assignment`` (B, n, k) float32. n and k fit into ``all_tokens`` and ``all_seeds``.
    """
    image = tl.program_id(0).to(tl.int64)
    token, slot = tl.arange(0, all_tokens), tl.arange(0, all_seeds)
    to_picks = tl.load(to_mean + image * n + token, mask=token < n, other=-2)
    picked = tl.zeros((all_seeds,), dtype=tl.int32)
    distinct = 1
    for pick in range(k):
        gap, farthest = tl.max(to_picks, 0, return_indices=True, return_indices_tie_break_left=True)
        distinct = tl.where(gap >= 0, pick + 1, distinct)
        again = tl.sum(tl.where(slot == pick % distinct, picked, 0))  # of the picks so far, once nothing is left
        farthest = tl.where(gap >= 0, tl.minimum(farthest, n - 1), again)
        picked = tl.where(slot == pick, farthest, picked)
        row = tl.load(between + (image * n + farthest) * n + token, mask=token < n, other=0)
        to_picks = tl.minimum(to_picks, row)
    if tl.program_id(1) == 0:
        tl.store(seeds + image * k + slot, picked.to(tl.int64), mask=slot < k)

    fine = tl.program_id(1) * rows + tl.arange(0, rows)
    products = tl.zeros((rows, all_seeds), dtype=tl.float32)
    fine_norm, seed_norm = tl.zeros((rows,), dtype=tl.float32), tl.zeros((all_seeds,), dtype=tl.float32)
    for start in range(0, dim, channels):
        channel = start + tl.arange(0, channels)
        inside = channel[None, :] < dim
        base = nodes + image * n * dim + channel[None, :]
        a = tl.load(base + fine[:, None] * dim, mask=(fine[:, None] < n) & inside, other=0).to(tl.float32)
        b = tl.load(base + picked[:, None] * dim, mask=inside, other=0).to(tl.float32)
        products = tl.dot(a, tl.trans(b), products, input_precision="ieee")
        fine_norm += tl.sum(a * a, 1)
        seed_norm += tl.sum(b * b, 1)
    fine_norm, seed_norm = tl.maximum(tl.sqrt(fine_norm), min_norm), tl.maximum(tl.sqrt(seed_norm), min_norm)
    logits = scale * products / (fine_norm[:, None] * seed_norm[None, :])
    logits = tl.where(slot[None, :] < k, logits, float("-inf"))
    mass = tl.exp(logits - tl.max(logits, 1)[:, None])
    share = mass / tl.sum(mass, 1)[:, None]
    place = assignment + (image * n + fine[:, None]) * k + slot[None, :]
    tl.store(place, share, mask=(fine[:, None] < n) & (slot[None, :] < k))


def seeded_assignment_triton(
    tokens: Tensor, nodes: Tensor, k: int, scale: float, pad: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compute :func:`~lightning_modules.networks.shed.assignment.seeded_assignment` by Triton, in float32.

    Nodes have at most 32 bits.
    """
    batch, n, dim = nodes.shape
    between, to_mean = squared_distances(tokens, pad)
    seeds = nodes.new_empty(batch, k, dtype=torch.int64)
    assignment = nodes.new_empty(batch, n, k, dtype=torch.float32)
    pick_and_assign[batch, triton.cdiv(n, BLOCK)](
        between.contiguous(), to_mean.contiguous(), nodes.contiguous(), seeds, assignment,
        n, k, dim, scale, MIN_NORM,
        all_tokens=triton.next_power_of_2(n), all_seeds=max(BLOCK, triton.next_power_of_2(k)),
        rows=BLOCK, channels=BLOCK, num_warps=8, num_stages=2,
    )  # fmt: skip
    return seeds, assignment
