"""Stages of ViT blocks over a class token and segment tokens, of encoder and decoder."""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BlockStage(nn.Module):
    """ViT blocks of timm, applied to [class token; segment tokens].

    Args:
        blocks: timm ``Block``s, in order; without any the stage is the identity.
    """

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, cls: Tensor, tokens: Tensor, masked: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the blocks.

        Args:
            cls: (B, 1, d), or (1, 1, d) if all images have the same.
            tokens: (B, n, d).
            masked: (B, n) bool, tokens that nothing may attend to. None passes no mask, which flash attention needs.

        Returns:
            Class token (B, 1, d) and tokens (B, n, d).
        """
        attend = None if masked is None else F.pad(~masked, (1, 0), value=True)[:, None, None, :]
        sequence = torch.cat([cls.expand(tokens.shape[0], -1, -1), tokens], 1)
        for block in self.blocks:
            sequence = block(sequence, attn_mask=attend)
        return sequence[:, :1], sequence[:, 1:]


def split_blocks(blocks: Sequence[nn.Module], stages: int, depths: Sequence[int] | None = None) -> nn.ModuleList:
    """Split blocks, in order, into stages.

    Args:
        blocks: of all stages.
        stages: number of stages.
        depths: blocks of each stage; None for equal stages.

    Raises:
        ValueError: if the blocks cannot be split evenly, or are not as many as ``depths`` say.
    """
    per_stage, left_over = divmod(len(blocks), stages)
    if depths is None and left_over:
        raise ValueError(f"{len(blocks)} ViT blocks cannot be split evenly into {stages} stages")
    depths = [per_stage] * stages if depths is None else list(depths)
    if len(depths) != stages or sum(depths) != len(blocks):
        raise ValueError(f"{len(blocks)} ViT blocks cannot be split into {stages} stages of {depths}")
    ends = list(itertools.accumulate(depths))
    return nn.ModuleList(BlockStage(blocks[end - depth : end]) for depth, end in zip(depths, ends, strict=True))


def class_tokens(count: int, dim: int, start: Tensor | None = None) -> nn.Parameter:
    """Make learned class tokens (count, 1, dim).

    Args:
        count: number of tokens.
        dim: channels.
        start: (dim,) initial value of all of them; None draws each from N(0, 1e-6^2), as in CAST.
    """
    if start is None:
        return nn.Parameter(1e-6 * torch.randn(count, 1, dim))
    return nn.Parameter(start.detach().expand(count, 1, dim).clone())
