"""Losses of segmentation and edges, over labelled pixels."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.losses.reduction import masked_mean, sum_over_processes


class SemanticCrossEntropy(nn.Module):
    """Mean cross-entropy of the pixels that have a class, over the batches of all processes.

    Class ids begin at 1, channels at 0; id 0, unlabelled, costs nothing.
    """

    def forward(self, logits: Tensor, semantics: Tensor) -> Tensor:
        """Compute the loss in float32 at least, under autocast too.

        Args:
            logits: (B, C, H, W); channel c is class id c + 1.
            semantics: (B, H, W) int64 ids 1..C; 0 = unlabelled.

        Returns:
            Scalar; 0 with zero gradients if no pixel is labelled.

        Raises:
            ValueError: if the sizes differ.
        """
        if logits.shape[:1] + logits.shape[2:] != semantics.shape:
            raise ValueError(f"logits {tuple(logits.shape)} and semantics {tuple(semantics.shape)} must have one size")
        dtype = torch.promote_types(logits.dtype, torch.float32)
        losses = F.cross_entropy(logits.to(dtype), semantics - 1, ignore_index=-1, reduction="none")
        return masked_mean(losses, semantics > 0)


class BalancedBCELoss(nn.Module):
    r"""Binary cross-entropy of edges, which are rare: a weighted mean over pixels.

    An edge has weight w, any other pixel 1 - w, and the sum is divided by that of the weights, so that the loss of a
    guess does not depend on w. ``frequency`` takes the share of pixels that are no edge, as HED does (Xie and Tu, ICCV
    2015, equation 2), here in the batches of all processes: both kinds then count half. MTI-Net's code has a constant
    w of 0.95; 0.5 is the plain mean.

    Args:
        edge_weight: w in (0, 1), or ``frequency``.

    Raises:
        ValueError: if a number is outside (0, 1).
    """

    def __init__(self, edge_weight: float | Literal["frequency"] = "frequency") -> None:
        super().__init__()
        if edge_weight != "frequency" and not (isinstance(edge_weight, float) and 0 < edge_weight < 1):
            raise ValueError(f"`edge_weight` must be a number between 0 and 1, or frequency, got {edge_weight!r}")
        self.edge_weight = edge_weight

    def forward(self, logits: Tensor, edges: Tensor) -> Tensor:
        """Compute the loss in float32 at least, under autocast too.

        Args:
            logits: (B, 1, H, W).
            edges: (B, 1, H, W) in {0, 1}.

        Returns:
            Scalar; with ``frequency`` 0 where all pixels of the batch are of one kind, as in HED.

        Raises:
            ValueError: if the shapes differ.
        """
        if logits.shape != edges.shape:
            raise ValueError(f"logits {tuple(logits.shape)} and edges {tuple(edges.shape)} must have one shape")
        dtype = torch.promote_types(logits.dtype, torch.float32)
        truth = edges.to(dtype)
        losses = F.binary_cross_entropy_with_logits(logits.to(dtype), truth, reduction="none")
        weight: float | Tensor
        if isinstance(self.edge_weight, float):
            weight = self.edge_weight
        else:
            edge, other = sum_over_processes(torch.stack([truth.sum(), (1 - truth).sum()]))
            weight = other / (edge + other)
        return masked_mean(losses, weight * truth + (1 - weight) * (1 - truth))
