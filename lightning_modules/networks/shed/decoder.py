"""The reverse hierarchy: segment tokens refined from coarse to fine."""

from collections.abc import Sequence

from torch import Tensor, nn

from lightning_modules.networks.shed.blocks import BlockStage, class_tokens, split_blocks
from lightning_modules.networks.shed.encoder import Encoded
from lightning_modules.networks.shed.options import ClassTokenRule, UnpoolMlp, check_option
from lightning_modules.networks.shed.unpooling import Unpooling


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

    Raises:
        ValueError: if an option is unknown or the blocks cannot be split evenly.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        dim: int,
        levels: int,
        mlp: UnpoolMlp = "plain",
        base_blocks: int = 0,
        cls: ClassTokenRule = "propagate",
    ) -> None:
        super().__init__()
        check_option("cls", cls, ClassTokenRule)
        self.base = BlockStage(blocks[:base_blocks])
        self.stages = split_blocks(blocks[base_blocks:], levels)
        self.unpoolings = nn.ModuleList(Unpooling(dim, mlp) for _ in range(levels))
        self.cls_tokens = class_tokens(levels, dim) if cls == "fresh_per_level" else None

    def forward(self, encoded: Encoded) -> tuple[list[Tensor], Tensor]:
        """Decode.

        Returns:
            Tokens Z'_0, ..., Z'_L, each (B, n_l, d), and the class token (B, 1, d) after the last block.
        """
        cls, tokens = self.base(encoded.cls, encoded.tokens)
        decoded = [tokens]
        for step, (unpooling, stage) in enumerate(zip(self.unpoolings, self.stages, strict=True)):
            level = len(self.stages) - 1 - step
            tokens = unpooling(tokens, encoded.assignments[level], encoded.skips[level])
            if self.cls_tokens is not None:
                cls = self.cls_tokens[step : step + 1]
            cls, tokens = stage(cls, tokens, encoded.masked if level == 0 else None)
            decoded.append(tokens)
        return decoded[::-1], cls
