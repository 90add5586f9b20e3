"""The reverse hierarchy: segment tokens refined from coarse to fine."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.networks.named_options import check_option
from lightning_modules.networks.shed.assignment import soft_assignment
from lightning_modules.networks.shed.blocks import BlockStage, class_tokens, split_blocks
from lightning_modules.networks.shed.encoder import Encoded
from lightning_modules.networks.shed.hierarchy import parents
from lightning_modules.networks.shed.options import (
    AssignmentRule,
    ClassTokenRule,
    UnpoolMlp,
    UnpoolRule,
)
from lightning_modules.networks.shed.unpooling import Unpooling


@dataclass
class Decoded:
    """What the decoder hands on; L levels.

    Attributes:
        tokens: Z'_0, ..., Z'_L, each (B, n_l, d).
        cls: (B, 1, d) class token after the last block.
        assignments: by which tokens were unpooled, P_1, ..., P_L, each (B, n_{l-1}, n_l).
    """

    tokens: list[Tensor]
    cls: Tensor
    assignments: list[Tensor]


def harden(assignment: Tensor) -> Tensor:
    """One-hot rows at the largest entry of each row (B, n, k): every token follows one segment. No gradient flows."""
    return F.one_hot(parents(assignment), assignment.shape[2]).to(assignment.dtype)


class OwnAssignment(nn.Module):
    """An assignment that the decoder finds by a similarity of its own, in place of the encoder's.

    P(i -> j) = softmax over j of ``scale`` * cosine(A LN(E_i), B LN(Z'_j)), with learned maps A and B.

    Args:
        dim: d.
        scale: inverse temperature.
    """

    def __init__(self, dim: int, scale: float):
        super().__init__()
        self.scale = scale
        self.fine = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim))
        self.coarse = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim))

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """(B, n, k) of fine tokens (B, n, d) and coarse ones (B, k, d)."""
        return soft_assignment(self.fine(fine), self.coarse(coarse), self.scale)


class SegmentDecoder(nn.Module):
    """Unpooling and ViT blocks at each level (SHED, sections 3.2 and 4.1, "Architecture").

    Z'_L = Z_L, then for l = L-1..0: Z'_l <- MLP(P_{l+1} Z'_{l+1} + E_l), [c; Z'_l] <- ViT blocks([c; Z'_l]).

    Args:
        blocks: timm ViT blocks in order of use: ``base_blocks``, then as many for each level, coarse to fine.
        dim: d.
        levels: L.
        mlp: of the unpooling, ``plain`` or ``residual``.
        base_blocks: blocks on the coarsest tokens, before any unpooling.
        cls: ``propagate`` (the encoder's class token runs on) or ``fresh_per_level`` (each level appends its own).
        unpool: ``soft``, or ``hard``: each token follows the one segment that it belongs to most.
        assignment: ``shared`` with the encoder, or the decoder's ``own``, see :class:`OwnAssignment`.
        scale: of its own assignments' similarity.
        cls_start: (d,), at which class tokens of its own begin; None for near zero.

    Raises:
        ValueError: if an option is unknown, the blocks cannot be split evenly, or assignments of the decoder's own were
            to be hard: their similarity would never learn.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        dim: int,
        levels: int,
        mlp: UnpoolMlp = "plain",
        base_blocks: int = 0,
        cls: ClassTokenRule = "propagate",
        unpool: UnpoolRule = "soft",
        assignment: AssignmentRule = "shared",
        scale: float = 5.0,
        cls_start: Tensor | None = None,
    ) -> None:
        super().__init__()
        check_option("cls", cls, ClassTokenRule)
        check_option("unpool", unpool, UnpoolRule)
        check_option("assignment", assignment, AssignmentRule)
        if (unpool, assignment) == ("hard", "own"):
            raise ValueError("`assignment: own` learns through soft unpooling only: set `unpool: soft`, or share")
        self.unpool: UnpoolRule = unpool
        self.base = BlockStage(blocks[:base_blocks])
        self.stages = split_blocks(blocks[base_blocks:], levels)
        self.unpoolings = nn.ModuleList(Unpooling(dim, mlp) for _ in range(levels))
        self.cls_tokens = class_tokens(levels, dim, cls_start) if cls == "fresh_per_level" else None
        self.own = nn.ModuleList(OwnAssignment(dim, scale) for _ in range(levels)) if assignment == "own" else None

    def freeze_finer_than(self, level: int) -> None:
        """Freeze what only serves levels finer than ``level``: no gradient reaches it, and DDP waits for gradients."""
        for step in range(len(self.stages) - level, len(self.stages)):
            for part in (self.unpoolings, self.stages, self.own):
                if part is not None:
                    part[step].requires_grad_(False)

    def forward(self, encoded: Encoded) -> Decoded:
        """Decode."""
        cls, tokens = self.base(encoded.cls, encoded.tokens)
        decoded, assignments = [tokens], []
        for step, (unpooling, stage) in enumerate(zip(self.unpoolings, self.stages, strict=True)):
            level = len(self.stages) - 1 - step
            fine = encoded.skips[level]
            assignment = encoded.assignments[level] if self.own is None else self.own[step](fine, tokens)
            assignment = harden(assignment) if self.unpool == "hard" else assignment
            tokens = unpooling(tokens, assignment, fine)
            if self.cls_tokens is not None:
                cls = self.cls_tokens[step : step + 1]
            cls, tokens = stage(cls, tokens, encoded.masked if level == 0 else None)
            decoded.append(tokens)
            assignments.append(assignment)
        return Decoded(decoded[::-1], cls, assignments[::-1])
