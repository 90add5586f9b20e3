"""SHED between its convolution features and its fusion decoder: tokens, both hierarchies, level maps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from lightning_modules.networks.shed.cells import Grid, assign_cells, segment_mean, spread
from lightning_modules.networks.shed.decoder import SegmentDecoder
from lightning_modules.networks.shed.encoder import SegmentEncoder
from lightning_modules.networks.shed.hierarchy import hard_segments, project_to_superpixels
from lightning_modules.networks.shed.options import (
    CellRule,
    ClassTokenRule,
    PadRule,
    PoolMlp,
    SkipRule,
    UnpoolMlp,
    check_option,
)
from lightning_modules.networks.shed.positions import sincos_positions


@dataclass
class TrunkOutput:
    """What the fusion decoder, the metrics and the pictures read.

    The map of level l is F_l = S_0 T_l = ``spread(levels[l])``. Spreading is linear and so commutes with pointwise
    linear maps and sums: apply those to ``levels`` first, on n_0 tokens instead of h0*w0 cells.

    Attributes:
        levels: T_l = P_1 ... P_l Z'_l, each (B, n_0, d), for l in ``map_levels``.
        cells: S_0 on the feature grid, see :mod:`~lightning_modules.networks.shed.cells`.
        grid: (h0, w0).
        embedding: (B, d) class token after the last decoder block.
        assignments: P_1, ..., P_L, each (B, n_{l-1}, n_l).
        pad: (B, n_0) bool, true for superpixels without a cell.
    """

    levels: list[Tensor]
    cells: Tensor
    grid: Grid
    embedding: Tensor
    assignments: list[Tensor]
    pad: Tensor

    def spread(self, tokens: Tensor) -> Tensor:
        """Map (B, c, h0, w0) of superpixel tokens (B, n_0, c)."""
        return spread(tokens, self.cells, self.grid)

    def segments(self, superpixels: Tensor) -> list[Tensor]:
        """Label maps S_0, ..., S_L, fine to coarse, at the resolution of ``superpixels`` (B, H, W)."""
        return hard_segments(superpixels, self.assignments)


class SHEDTrunk(nn.Module):
    """Bidirectional segment hierarchy over a convolution feature map (SHED, section 3).

    Args:
        blocks: timm ViT ``Block``s: ``blocks_per_stage`` for each of L encoder stages, ``base_blocks``, and
            ``blocks_per_stage`` for each of L decoder levels. Twelve as published: those of a ViT-Small.
        dim: d, the blocks' width; a multiple of four.
        num_segments: n_1, ..., n_L, decreasing; the number of levels L is its length.
        blocks_per_stage: ViT blocks before each graph pooling and after each unpooling.
        base_blocks: ViT blocks on the coarsest tokens.
        superpixel_size: side s in pixels of the superpixels' initial squares: n_0 = (H // s) (W // s).
        map_levels: levels l whose T_l is returned; all by default. The paper's text says 1..L, which leaves what the
            decoder does at level 0 without influence on depth.
        s0: ``nearest`` or ``area``, see :mod:`~lightning_modules.networks.shed.cells`.
        heads: see ``SegmentEncoder``, as the following.
        pool_scale: inverse temperature of the soft assignments.
        pool_mlp: ``cast`` or ``paper``.
        pad_tokens: ``masked`` or ``cast``.
        cls: ``propagate`` or ``fresh_per_level``.
        skip: ``post_block`` or ``pre_block``.
        dropout: inside the poolings' MLP.
        unpool_mlp: ``plain`` or ``residual``, see ``Unpooling``.

    Raises:
        ValueError: if an option is unknown, the number of blocks does not fit, or a level does not exist.
    """

    def __init__(
        self,
        blocks: Iterable[nn.Module],
        dim: int,
        num_segments: Sequence[int] = (256, 128, 64),
        *,
        blocks_per_stage: int = 2,
        base_blocks: int = 0,
        superpixel_size: int = 16,
        map_levels: Sequence[int] | None = None,
        s0: CellRule = "nearest",
        heads: int = 12,
        pool_scale: float = 5.0,
        pool_mlp: PoolMlp = "cast",
        pad_tokens: PadRule = "masked",
        cls: ClassTokenRule = "propagate",
        skip: SkipRule = "post_block",
        dropout: float = 0.1,
        unpool_mlp: UnpoolMlp = "plain",
    ) -> None:
        super().__init__()
        blocks = list(blocks)
        levels = len(num_segments)
        encoder_blocks = levels * blocks_per_stage
        needed = 2 * encoder_blocks + base_blocks
        if len(blocks) != needed:
            raise ValueError(
                f"{len(blocks)} ViT blocks given, {needed} needed: 2 x {levels} levels x {blocks_per_stage} "
                f"`blocks_per_stage` + {base_blocks} `base_blocks`"
            )
        if dim % 4:
            raise ValueError(f"`dim` is {dim}, but the sinusoidal positions need a multiple of 4")
        if list(num_segments) != sorted(set(num_segments), reverse=True) or levels == 0 or min(num_segments) < 1:
            raise ValueError(f"`num_segments` is {list(num_segments)}, but must be positive and decreasing")
        map_levels = range(levels + 1) if map_levels is None else map_levels
        if not set(map_levels) <= set(range(levels + 1)) or not map_levels:
            raise ValueError(f"`map_levels` is {list(map_levels)}; choose some of {list(range(levels + 1))}")
        check_option("s0", s0, CellRule)
        self.dim = dim
        self.superpixel_size = superpixel_size
        self.map_levels = tuple(map_levels)
        self.s0: CellRule = s0
        self.encoder = SegmentEncoder(
            blocks[:encoder_blocks], dim, num_segments, heads, pool_scale, pool_mlp, pad_tokens, cls, skip, dropout
        )
        self.decoder = SegmentDecoder(blocks[encoder_blocks:], dim, levels, unpool_mlp, base_blocks, cls)

    def forward(self, features: Tensor, superpixels: Tensor) -> TrunkOutput:
        """Run both hierarchies.

        Args:
            features: F_conv, (B, d, h0, w0).
            superpixels: S_0, (B, H, W) int64 ids in 0..n_0-1; ids may be empty.

        Raises:
            ValueError: if ``superpixels`` has ids beyond n_0 (CPU tensors only), or n_0 < n_1.
        """
        height, width = superpixels.shape[1:]
        num_superpixels = (height // self.superpixel_size) * (width // self.superpixel_size)
        grid = (features.shape[2], features.shape[3])
        positions = sincos_positions(*grid, self.dim, device=features.device)
        cells = assign_cells(superpixels, grid, num_superpixels, self.s0)
        tokens, pad = segment_mean(features + positions.mT.unflatten(1, grid), cells, num_superpixels)
        encoded = self.encoder(tokens, pad)
        decoded, cls = self.decoder(encoded)
        return TrunkOutput(
            levels=[project_to_superpixels(decoded[level], encoded.assignments[:level]) for level in self.map_levels],
            cells=cells,
            grid=grid,
            embedding=cls[:, 0],
            assignments=encoded.assignments,
            pad=pad,
        )
