"""SHED between its convolution features and its fusion decoder: tokens, both hierarchies, level maps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from lightning_modules.networks.named_options import check_option
from lightning_modules.networks.shed.blocks import BlockStage
from lightning_modules.networks.shed.cells import Grid, assign_cells, segment_mean, spread
from lightning_modules.networks.shed.decoder import Decoded, SegmentDecoder
from lightning_modules.networks.shed.encoder import Encoded, SegmentEncoder
from lightning_modules.networks.shed.hierarchy import hard_segments, project_to_superpixels
from lightning_modules.networks.shed.options import (
    AssignmentRule,
    CellRule,
    ClassTokenRule,
    PadRule,
    PoolMlp,
    ReductionRule,
    SimilarityRule,
    SkipRule,
    UnpoolMlp,
    UnpoolRule,
)
from lightning_modules.networks.shed.positions import sincos_positions


@dataclass
class TrunkOutput:
    """What the fusion decoder, the metrics and the pictures read.

    The map of level l is F_l = S_0 T_l = ``spread(levels[l])``. Spreading is linear and so commutes with pointwise
    linear maps and sums: apply those to ``levels`` first, on n_0 tokens instead of h0*w0 cells.

    Attributes:
        levels: T_l = P_1 ... P_l Z'_l, each (B, n_0, d), for l in ``map_levels``.
        cells: S_0 on the grid of the maps, see :mod:`~lightning_modules.networks.shed.cells`.
        grid: of the maps, (h0, w0) unless they are projected at another stride.
        reduced: ``cells`` and ``grid`` of each level's own map where maps are spatially reduced, as ``levels``; else
            empty.
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
    reduced: list[tuple[Tensor, Grid]] = field(default_factory=list)

    def spread(self, tokens: Tensor) -> Tensor:
        """Map (B, c, *grid) of superpixel tokens (B, n_0, c)."""
        return spread(tokens, self.cells, self.grid)

    def level_cells(self, index: int) -> tuple[Tensor, Grid]:
        """S_0 and grid of the map of ``levels[index]``."""
        return self.reduced[index] if self.reduced else (self.cells, self.grid)

    def segments(self, superpixels: Tensor) -> list[Tensor]:
        """Label maps S_0, ..., S_L, fine to coarse, at the resolution of ``superpixels`` (B, H, W)."""
        return hard_segments(superpixels, self.assignments)


class SHEDTrunk(nn.Module):
    """Bidirectional segment hierarchy over a convolution feature map (SHED, section 3).

    Args:
        blocks: timm ViT ``Block``s: ``blocks_per_stage`` for each of L encoder stages, ``base_blocks``, and
            ``blocks_per_stage`` for each of L decoder levels. Twelve as published: those of a ViT-Small, two a stage.
        dim: d, the blocks' width; a multiple of four.
        num_segments: n_1, ..., n_L, decreasing; the number of levels L is its length.
        blocks_per_stage: ViT blocks before each graph pooling and after each unpooling; None shares all blocks evenly.
        base_blocks: ViT blocks on the coarsest tokens.
        superpixel_size: side s in pixels of the superpixels' initial squares: n_0 = (H // s) (W // s).
        map_levels: levels l whose T_l is returned; all by default. The paper's text says 1..L, which leaves what the
            decoder does at level 0 without influence on the maps: nothing trains it, and its parameters are frozen.
        s0: ``nearest`` or ``area``, see :mod:`~lightning_modules.networks.shed.cells`.
        heads: see ``SegmentEncoder``, as the following.
        pool_scale: inverse temperature of the soft assignments.
        pool_mlp: ``cast`` or ``paper``.
        similarity: ``nodes`` or ``tokens``.
        pad_tokens: ``masked`` or ``cast``.
        cls: ``propagate`` or ``fresh_per_level``.
        cls_start: (d,), at which class tokens begin, the transformer's own for example; None for near zero.
        skip: ``post_block`` or ``pre_block``.
        dropout: inside the poolings' MLP.
        unpool_mlp: ``plain`` or ``residual``, see ``Unpooling``.
        unpool: ``soft`` or ``hard``, see ``SegmentDecoder``.
        assignment: ``shared`` or ``own``, likewise.
        reverse: whether there is a reverse hierarchy; without, the maps are of the encoder's tokens and its class token
            is the descriptor.
        spatial_reduction: ``none``, or ``dpt``: the map of level l is on a grid of h0 / 2^l x w0 / 2^l cells, rounded
            up.
        projection_stride: pixels along a side of the cells of the maps; None for the grid of the features.

    Raises:
        ValueError: if an option is unknown, the number of blocks does not fit, or a level does not exist.
    """

    def __init__(
        self,
        blocks: Iterable[nn.Module],
        dim: int,
        num_segments: Sequence[int] = (256, 128, 64),
        *,
        blocks_per_stage: int | None = 2,
        base_blocks: int = 0,
        superpixel_size: int = 16,
        map_levels: Sequence[int] | None = None,
        s0: CellRule = "nearest",
        heads: int = 12,
        pool_scale: float = 5.0,
        pool_mlp: PoolMlp = "cast",
        similarity: SimilarityRule = "nodes",
        pad_tokens: PadRule = "masked",
        cls: ClassTokenRule = "propagate",
        cls_start: Tensor | None = None,
        skip: SkipRule = "post_block",
        dropout: float = 0.1,
        unpool_mlp: UnpoolMlp = "plain",
        unpool: UnpoolRule = "soft",
        assignment: AssignmentRule = "shared",
        reverse: bool = True,
        spatial_reduction: ReductionRule = "none",
        projection_stride: int | None = None,
    ) -> None:
        super().__init__()
        blocks = list(blocks)
        levels = len(num_segments)
        if list(num_segments) != sorted(set(num_segments), reverse=True) or levels == 0 or min(num_segments) < 1:
            raise ValueError(
                f"`segments` is {list(num_segments)}, but must be positive and decreasing, from fine to coarse"
            )
        stages = (1 + reverse) * levels
        if blocks_per_stage is None:
            blocks_per_stage, left_over = divmod(len(blocks) - base_blocks, stages)
            if left_over or blocks_per_stage < 1:
                raise ValueError(
                    f"{len(blocks)} ViT blocks cannot be shared evenly by {stages} stages after {base_blocks} "
                    "`base_blocks`; change `base_blocks` or the number of `segments`"
                )
        encoder_blocks = levels * blocks_per_stage
        needed = stages * blocks_per_stage + base_blocks
        if len(blocks) != needed:
            raise ValueError(
                f"{len(blocks)} ViT blocks given, {needed} needed: {1 + reverse} x {levels} levels x "
                f"{blocks_per_stage} `blocks_per_stage` + {base_blocks} `base_blocks`"
            )
        if dim % 4:
            raise ValueError(f"`dim` is {dim}, but the sinusoidal positions need a multiple of 4")
        map_levels = range(levels + 1) if map_levels is None else map_levels
        if not set(map_levels) <= set(range(levels + 1)) or not map_levels:
            raise ValueError(f"`map_levels` is {list(map_levels)}; choose some of {list(range(levels + 1))}")
        check_option("s0", s0, CellRule)
        check_option("spatial_reduction", spatial_reduction, ReductionRule)
        self.dim = dim
        self.superpixel_size = superpixel_size
        self.map_levels = tuple(map_levels)
        self.s0: CellRule = s0
        self.encoder = SegmentEncoder(
            blocks[:encoder_blocks],
            dim,
            num_segments,
            heads,
            pool_scale,
            pool_mlp,
            pad_tokens,
            cls,
            skip,
            dropout,
            similarity=similarity,
            cls_start=cls_start,
        )
        self.decoder: SegmentDecoder | None = None
        self.base: BlockStage | None = None
        if reverse:
            self.decoder = SegmentDecoder(
                blocks[encoder_blocks:],
                dim,
                levels,
                unpool_mlp,
                base_blocks,
                cls,
                unpool,
                assignment,
                pool_scale,
                cls_start,
            )
        else:
            self.base = BlockStage(blocks[encoder_blocks:])
        if self.decoder is not None:
            self.decoder.freeze_finer_than(min(map_levels))
        self.spatial_reduction: ReductionRule = spatial_reduction
        self.projection_stride = projection_stride

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
        decoded = self._decode(encoded)
        if self.projection_stride is not None:
            grid = (height // self.projection_stride, width // self.projection_stride)
            cells = assign_cells(superpixels, grid, num_superpixels, self.s0)
        reduced = []
        if self.spatial_reduction == "dpt":
            grids = [(-(-grid[0] // 2**level), -(-grid[1] // 2**level)) for level in self.map_levels]
            reduced = [(assign_cells(superpixels, own, num_superpixels, self.s0), own) for own in grids]
        return TrunkOutput(
            levels=[
                project_to_superpixels(decoded.tokens[level], decoded.assignments[:level]) for level in self.map_levels
            ],
            cells=cells,
            grid=grid,
            embedding=decoded.cls[:, 0],
            assignments=encoded.assignments,
            pad=pad,
            reduced=reduced,
        )

    def _decode(self, encoded: Encoded) -> Decoded:
        """Through the reverse hierarchy, where there is one."""
        if self.decoder is not None:
            return self.decoder(encoded)
        assert self.base is not None
        cls, coarsest = self.base(encoded.cls, encoded.tokens)
        return Decoded([*encoded.skips, coarsest], cls, encoded.assignments)
