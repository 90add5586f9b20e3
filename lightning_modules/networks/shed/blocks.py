"""ViT blocks over a class token and segment tokens: what encoder and decoder share."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BlockStage(nn.Module):
    """Timm ViT blocks applied to [class token; segment tokens].

    Args:
        blocks: timm ``Block``s, in order; none is the identity.
    """

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, cls: Tensor, tokens: Tensor, masked: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the blocks.

        Args:
            cls: (B, 1, d), or (1, 1, d) for all images alike.
            tokens: (B, n, d).
            masked: (B, n) bool, tokens that nothing may attend to. None passes no mask, which flash attention needs.

        Returns:
            Class token (B, 1, d) and tokens (B, n, d).
        """
        attend = None if masked is None else F.pad(~masked, (1, 0), value=True)[:, None, None, :]
        sequence = torch.cat([cls.expand(len(tokens), -1, -1), tokens], 1)
        for block in self.blocks:
            sequence = block(sequence, attn_mask=attend)
        return sequence[:, :1], sequence[:, 1:]


def split_blocks(blocks: Sequence[nn.Module], stages: int) -> nn.ModuleList:
    """Split blocks, in order, into as many equal stages.

    Raises:
        ValueError: if the blocks cannot be split evenly.
    """
    per_stage, left_over = divmod(len(blocks), stages)
    if left_over:
        raise ValueError(f"{len(blocks)} ViT blocks cannot be split evenly into {stages} stages")
    return nn.ModuleList(BlockStage(blocks[i * per_stage : (i + 1) * per_stage]) for i in range(stages))


def class_tokens(count: int, dim: int) -> nn.Parameter:
    """Learned class tokens (count, 1, dim), drawn from N(0, 1e-6^2) as CAST's."""
    return nn.Parameter(1e-6 * torch.randn(count, 1, dim))
