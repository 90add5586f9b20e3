"""The forward hierarchy: superpixel tokens grouped into ever coarser segment tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from lightning_modules.networks.named_options import check_option
from lightning_modules.networks.shed.blocks import class_tokens, split_blocks
from lightning_modules.networks.shed.graph_pooling import GraphPooling
from lightning_modules.networks.shed.options import (
    ClassTokenRule,
    PadRule,
    PoolMlp,
    SimilarityRule,
    SkipRule,
)


@dataclass
class Encoded:
    """What the encoder hands to the decoder; L levels.

    Attributes:
        tokens: (B, n_L, d) coarsest tokens Z_L.
        cls: (B, 1, d) class token.
        skips: E_0, ..., E_{L-1}, each (B, n_l, d).
        assignments: P_1, ..., P_L, each (B, n_{l-1}, n_l).
        masked: (B, n_0) bool, superpixels no token may attend to; None where all may be.
    """

    tokens: Tensor
    cls: Tensor
    skips: list[Tensor]
    assignments: list[Tensor]
    masked: Tensor | None


class SegmentEncoder(nn.Module):
    """Stages of ViT blocks, each followed by graph pooling (SHED, sections 3.1 and 4.1, "Architecture").

    For l = 1..L: [c; E_{l-1}] = ViT blocks([c; Z_{l-1}]), then c, Z_l, P_l = GraphPooling(c, E_{l-1}).

    Args:
        blocks: the timm ViT blocks of all stages, in order.
        dim: d.
        num_segments: n_1, ..., n_L.
        heads: attention heads of a graph pooling's own attention.
        pool_scale: inverse temperature of the soft assignments.
        pool_mlp: see ``GraphPooling``.
        pad_tokens: ``masked`` (nothing attends to superpixels without a cell) or ``cast`` (they act as zero tokens).
        cls: ``propagate`` (one learned class token runs through all levels) or ``fresh_per_level`` (each stage
            appends its own).
        skip: what the decoder is given as E_l: tokens ``post_block`` or ``pre_block``.
        dropout: inside the pooling's MLP.
        depths: blocks of each stage; None for as many in each.
        similarity: see ``GraphPooling``.
        cls_start: (d,), at which class tokens begin; None for near zero.

    Raises:
        ValueError: if an option is unknown, or the blocks do not fit the stages.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        dim: int,
        num_segments: Sequence[int] = (256, 128, 64),
        heads: int = 12,
        pool_scale: float = 5.0,
        pool_mlp: PoolMlp = "cast",
        pad_tokens: PadRule = "masked",
        cls: ClassTokenRule = "propagate",
        skip: SkipRule = "post_block",
        dropout: float = 0.1,
        depths: Sequence[int] | None = None,
        similarity: SimilarityRule = "nodes",
        cls_start: Tensor | None = None,
    ) -> None:
        super().__init__()
        check_option("cls", cls, ClassTokenRule)
        check_option("skip", skip, SkipRule)
        levels = len(num_segments)
        self.stages = split_blocks(blocks, levels, depths)
        self.poolings = nn.ModuleList(
            GraphPooling(dim, k, heads, pool_scale, pool_mlp, pad_tokens, dropout, similarity) for k in num_segments
        )
        self.cls_tokens = class_tokens(1 if cls == "propagate" else levels, dim, cls_start)
        self.skip = skip
        self.pad_tokens = pad_tokens

    def forward(self, tokens: Tensor, pad: Tensor) -> Encoded:
        """Group superpixel tokens (B, n_0, d); ``pad`` (B, n_0) bool marks superpixels without a cell."""
        masked = pad if self.pad_tokens == "masked" else None
        encoded = Encoded(tokens, self.cls_tokens[:1], [], [], masked)
        level_pad: Tensor | None = pad
        for level, (stage, pooling) in enumerate(zip(self.stages, self.poolings, strict=True)):
            before = encoded.tokens
            cls = self.cls_tokens[level : level + 1] if level < len(self.cls_tokens) else encoded.cls
            cls, tokens = stage(cls, before, masked)
            pooled = pooling(tokens, cls, level_pad)
            encoded.tokens, encoded.cls = pooled.tokens, pooled.cls
            encoded.skips.append(tokens if self.skip == "post_block" else before)
            encoded.assignments.append(pooled.assignment)
            level_pad = masked = None  # a coarse segment is never empty
        return encoded
