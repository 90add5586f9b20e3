"""The reverse hierarchy: segment tokens refined from coarse to fine."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.networks.shed.assignment_reference import soft_assignment
from lightning_modules.networks.shed.blocks import BlockStage, class_tokens, split_blocks
from lightning_modules.networks.shed.encoder import Encoded
from lightning_modules.networks.shed.hierarchy import parents
from lightning_modules.networks.shed.options import SHEDOptions
from lightning_modules.networks.shed.unpooling import Unpooling


@dataclass
class Decoded:
    """Tokens of the reverse hierarchy, of which level maps are made; L levels.

    Attributes:
        tokens: Z'_0, ..., Z'_L, each (B, n_l, d).
        cls: (B, 1, d) class token after the last block.
        assignments: by which tokens were unpooled, P_1, ..., P_L, each (B, n_{l-1}, n_l).
    """

    tokens: list[Tensor]
    cls: Tensor
    assignments: list[Tensor]


def harden(assignment: Tensor) -> Tensor:
    """Return an assignment (B, n, k) with a 1 at the largest entry of each row and 0 elsewhere; without gradient."""
    return F.one_hot(parents(assignment), assignment.shape[2]).to(assignment.dtype)


class OwnAssignment(nn.Module):
    """An assignment that the decoder finds by a similarity of its own, in place of the encoder's.

    P(i -> j) = softmax over j of ``scale`` * cosine(A LN(E_i), B LN(Z'_j)), with learned maps A and B.

    Args:
        dim: d, channels of a token.
        scale: inverse temperature.
    """

    def __init__(self, dim: int, scale: float):
        super().__init__()
        self.scale = scale
        self.fine = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim))
        self.coarse = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim))

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return the assignment (B, n, k) of fine tokens (B, n, d) to coarse ones (B, k, d)."""
        return soft_assignment(self.fine(fine), self.coarse(coarse), self.scale)


class SegmentDecoder(nn.Module):
    """Unpooling and ViT blocks at each level (SHED, sections 3.2 and 4.1, "Architecture").

    Z'_L = Z_L, then for l = L-1..0: Z'_l <- MLP(P_{l+1} Z'_{l+1} + E_l), [c; Z'_l] <- ViT blocks([c; Z'_l]).

    Args:
        blocks: timm ViT blocks in order of use: ``base_blocks`` on the coarsest tokens, then equally many for each
            level, coarse to fine.
        dim: d, channels of a token.
        options: of which the decoder reads ``segments``, ``base_blocks``, ``cls``, ``unpool_mlp``, ``unpool``,
            ``assignment`` and, for assignments of its own, ``pool_scale``.
        cls_start: (d,) initial value of class tokens of its own; None draws them near zero.

    Raises:
        ValueError: if the blocks cannot be split evenly.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        dim: int,
        options: SHEDOptions,
        *,
        cls_start: Tensor | None = None,
    ) -> None:
        super().__init__()
        levels = options.levels
        self.options = options
        self.base = BlockStage(blocks[: options.base_blocks])
        self.stages = split_blocks(blocks[options.base_blocks :], levels)
        self.unpoolings = nn.ModuleList(Unpooling(dim, options.unpool_mlp) for _ in range(levels))
        self.cls_tokens = class_tokens(levels, dim, cls_start) if options.cls == "fresh_per_level" else None
        self.own: nn.ModuleList | None = None
        if options.assignment == "own":
            self.own = nn.ModuleList(OwnAssignment(dim, options.pool_scale) for _ in range(levels))

    def freeze_finer_than(self, level: int) -> None:
        """Freeze the parameters that only serve levels finer than ``level``.

        No gradient reaches them, and DDP waits for the gradients of all that is not frozen.
        """
        for step in range(len(self.stages) - level, len(self.stages)):
            for part in (self.unpoolings, self.stages, self.own):
                if part is not None:
                    part[step].requires_grad_(False)

    def forward(self, encoded: Encoded) -> Decoded:
        """Refine the coarsest tokens level by level."""
        cls, tokens = self.base(encoded.cls, encoded.tokens)
        decoded, assignments = [tokens], []
        for step, (unpooling, stage) in enumerate(zip(self.unpoolings, self.stages, strict=True)):
            level = len(self.stages) - 1 - step
            fine = encoded.skips[level]
            assignment = encoded.assignments[level] if self.own is None else self.own[step](fine, tokens)
            assignment = harden(assignment) if self.options.unpool == "hard" else assignment
            tokens = unpooling(tokens, assignment, fine)
            if self.cls_tokens is not None:
                cls = self.cls_tokens[step : step + 1]
            cls, tokens = stage(cls, tokens, encoded.masked if level == 0 else None)
            decoded.append(tokens)
            assignments.append(assignment)
        return Decoded(decoded[::-1], cls, assignments[::-1])
