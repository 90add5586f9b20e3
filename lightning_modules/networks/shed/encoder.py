"""The forward hierarchy: superpixel tokens grouped into ever coarser segment tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from lightning_modules.networks.shed.blocks import class_tokens, split_blocks
from lightning_modules.networks.shed.graph_pooling import GraphPooling
from lightning_modules.networks.shed.options import SHEDOptions


@dataclass
class Encoded:
    """Tokens and assignments of the forward hierarchy, which the decoder reads; L levels.

    Attributes:
        tokens: (B, n_L, d) coarsest tokens Z_L.
        cls: (B, 1, d) class token.
        skips: E_0, ..., E_{L-1}, each (B, n_l, d), tokens of each stage.
        assignments: P_1, ..., P_L, each (B, n_{l-1}, n_l).
        masked: (B, n_0) bool, superpixels that no token may attend to; None if tokens may attend to all.
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
        dim: d, channels of a token.
        options: of which the encoder reads ``segments``, ``cls``, ``skip``, ``pad_tokens`` and those of the pooling.
        heads: attention heads of a graph pooling's own attention.
        depths: blocks of each stage; None for as many in each.
        cls_start: (d,) initial value of learned class tokens; None draws them near zero.

    Raises:
        ValueError: if the blocks cannot be split into the stages, or ``heads`` does not divide ``dim``.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        dim: int,
        options: SHEDOptions,
        *,
        heads: int = 12,
        depths: Sequence[int] | None = None,
        cls_start: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.options = options
        self.stages = split_blocks(blocks, options.levels, depths)
        self.poolings = nn.ModuleList(GraphPooling(dim, k, options, heads=heads) for k in options.segments)
        self.cls_tokens = class_tokens(1 if options.cls == "propagate" else options.levels, dim, cls_start)

    def forward(self, tokens: Tensor, pad: Tensor) -> Encoded:
        """Group superpixels into segments.

        Args:
            tokens: (B, n_0, d) superpixel tokens.
            pad: (B, n_0) bool, true for superpixels that own no cell.
        """
        masked = pad if self.options.pad_tokens == "masked" else None
        encoded = Encoded(tokens, self.cls_tokens[:1], [], [], masked)
        level_pad: Tensor | None = pad
        for level, (stage, pooling) in enumerate(zip(self.stages, self.poolings, strict=True)):
            before = encoded.tokens
            cls = self.cls_tokens[level : level + 1] if level < len(self.cls_tokens) else encoded.cls
            cls, tokens = stage(cls, before, masked)
            pooled = pooling(tokens, cls, level_pad)
            encoded.tokens, encoded.cls = pooled.tokens, pooled.cls
            encoded.skips.append(tokens if self.options.skip == "post_block" else before)
            encoded.assignments.append(pooled.assignment)
            level_pad = masked = None  # a coarse segment is never empty
        return encoded
