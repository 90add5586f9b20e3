"""Soft assignment of fine tokens to coarse ones grown from farthest-point seeds, in plain torch on any device."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.networks.shed.farthest_point import farthest_points

#: Below this a feature's norm counts as this, as in :func:`torch.nn.functional.normalize`.
MIN_NORM = 1e-12


def take_tokens(tokens: Tensor, index: Tensor) -> Tensor:
    """Return the tokens (B, k, d) at the indices (B, k) of tokens (B, n, d)."""
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[2]))


def soft_assignment(fine: Tensor, coarse: Tensor, scale: float) -> Tensor:
    """Return P(i -> j) = softmax over j of ``scale`` * cosine(fine_i, coarse_j), in float32 at least.

    The paper writes "P_l(i -> j) proportional to sim(Z_{l-1}[i], Z_l[j])"; a ratio of cosines could be negative, so
    this is CAST's softmax over the coarse axis: each fine token distributes a mass of one.

    Args:
        fine: (B, n, d).
        coarse: (B, k, d).
        scale: inverse temperature.

    Returns:
        P, (B, n, k), each row summing to one.
    """
    with torch.autocast(fine.device.type, enabled=False):
        dtype = torch.promote_types(fine.dtype, torch.float32)
        fine, coarse = (F.normalize(nodes.to(dtype), dim=-1, eps=MIN_NORM) for nodes in (fine, coarse))
        return (scale * fine @ coarse.mT).softmax(-1)


def seeded_assignment_reference(
    tokens: Tensor, nodes: Tensor, k: int, scale: float, pad: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Pick seeds among tokens and assign nodes to the nodes of the seeds, differentiable but for the choice of seeds.

    Arguments and results as of :func:`~lightning_modules.networks.shed.assignment.seeded_assignment`.
    """
    seeds = farthest_points(tokens, k, pad)
    return seeds, soft_assignment(nodes, take_tokens(nodes, seeds), scale)
