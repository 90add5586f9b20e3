"""Soft assignment of fine tokens to coarse ones grown from farthest-point seeds: one operator on every device.

``segdepth::seeded_assignment`` is one node to `torch.compile` and `torch.export`, whose graphs would otherwise hold
every pick. On the CPU it runs in plain torch (:mod:`~lightning_modules.networks.shed.assignment_reference`). On CUDA
the picks, the gathering of the seeds' features, their cosines and the softmax are one Triton launch
(:mod:`~lightning_modules.networks.shed.assignment_kernel`).
"""

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from lightning_modules.networks.shed.assignment_reference import MIN_NORM, seeded_assignment_reference, take_tokens
from lightning_modules.networks.shed.farthest_point import check_count


def seeded_assignment(
    tokens: Tensor, nodes: Tensor, k: int, scale: float, pad: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Pick seeds among tokens by farthest point sampling, and assign nodes softly to the nodes of the seeds.

    No gradient flows through the choice of seeds.

    Args:
        tokens: (B, n, d), among which seeds are picked.
        nodes: (B, n, c), by which tokens are assigned.
        k: number of seeds.
        scale: inverse temperature of the assignment.
        pad: (B, n) bool, tokens that never become seeds.

    Returns:
        Seeds (B, k) int64 as of :func:`~lightning_modules.networks.shed.farthest_point.farthest_points`, and the
        assignment (B, n, k) as of
        :func:`~lightning_modules.networks.shed.assignment_reference.soft_assignment`.

    Raises:
        ValueError: if k exceeds n.
    """
    check_count(k, tokens.shape[1])
    return _seeded_assignment(tokens, nodes, k, scale, pad)


@torch.library.custom_op("segdepth::seeded_assignment", mutates_args=())
def _seeded_assignment(
    tokens: Tensor, nodes: Tensor, k: int, scale: float, pad: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    return seeded_assignment_reference(tokens, nodes, k, scale, pad)


def _on_cuda(tokens: Tensor, nodes: Tensor, k: int, scale: float, pad: Tensor | None = None) -> tuple[Tensor, Tensor]:
    if nodes.dtype == torch.float64:
        return seeded_assignment_reference(tokens, nodes, k, scale, pad)
    from lightning_modules.networks.shed.assignment_kernel import seeded_assignment_triton

    return seeded_assignment_triton(tokens, nodes, k, scale, pad)


if find_spec("triton"):  # not on Windows
    _seeded_assignment.register_kernel("cuda")(_on_cuda)


@_seeded_assignment.register_fake
def _shapes(tokens: Tensor, nodes: Tensor, k: int, scale: float, pad: Tensor | None = None) -> tuple[Tensor, Tensor]:
    batch, n, _ = nodes.shape
    dtype = torch.promote_types(nodes.dtype, torch.float32)
    return nodes.new_empty(batch, k, dtype=torch.int64), nodes.new_empty(batch, n, k, dtype=dtype)


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    _, nodes, _, ctx.scale, _ = inputs
    ctx.save_for_backward(nodes, *output)


def _gradient_of_nodes(ctx: Any, _: Any, gradient: Tensor) -> tuple[None, Tensor, None, None, None]:
    """Of softmax(scale U U[seeds]^T), U = nodes / |nodes|: both factors of the product are the same nodes."""
    nodes, seeds, assignment = ctx.saved_tensors
    with torch.autocast(nodes.device.type, enabled=False):
        norm = nodes.to(assignment.dtype).norm(dim=-1, keepdim=True).clamp(min=MIN_NORM)
        unit = nodes / norm
        of_logits = assignment * (gradient - (gradient * assignment).sum(-1, keepdim=True))
        of_unit = of_logits @ take_tokens(unit, seeds)
        of_unit = of_unit.scatter_add(1, seeds[..., None].expand(-1, -1, unit.shape[2]), of_logits.mT @ unit)
        of_nodes = ctx.scale / norm * (of_unit - unit * (unit * of_unit).sum(-1, keepdim=True))
    return None, of_nodes.to(nodes.dtype), None, None, None


_seeded_assignment.register_autograd(_gradient_of_nodes, setup_context=_keep_for_backward)
