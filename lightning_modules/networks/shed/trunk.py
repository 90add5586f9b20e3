"""SHED between its convolution features and its fusion decoder: tokens, both hierarchies, level maps."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor, nn

from lightning_modules.networks.shed.blocks import BlockStage
from lightning_modules.networks.shed.cells import Grid, assign_cells, segment_mean, spread
from lightning_modules.networks.shed.decoder import Decoded, SegmentDecoder
from lightning_modules.networks.shed.encoder import Encoded, SegmentEncoder
from lightning_modules.networks.shed.hierarchy import hard_segments, project_to_superpixels
from lightning_modules.networks.shed.options import SHEDOptions
from lightning_modules.networks.shed.positions import sincos_positions


@dataclass
class TrunkOutput:
    """The hierarchy of a batch, with the tokens that level maps are made of.

    The map of level l is F_l = S_0 T_l = ``spread(levels[l])``. Spreading is linear and so commutes with pointwise
    linear maps and sums: apply those to ``levels`` first, on n_0 tokens instead of h0*w0 cells.

    Attributes:
        levels: T_l = P_1 ... P_l Z'_l, each (B, n_0, d), for l in ``options.fused_levels``.
        cells: S_0 on the grid of the maps, see :mod:`~lightning_modules.networks.shed.cells`.
        grid: (h0, w0) of the maps: that of the features, unless ``projection_stride`` says otherwise.
        embedding: (B, d) class token after the last decoder block.
        assignments: P_1, ..., P_L of the encoder, each (B, n_{l-1}, n_l).
        pad: (B, n_0) bool, true for superpixels without a cell.
        reduced: with ``spatial_reduction``, for each of ``levels`` the ``cells`` and ``grid`` of its own smaller map;
            else empty.
    """

    levels: list[Tensor]
    cells: Tensor
    grid: Grid
    embedding: Tensor
    assignments: list[Tensor]
    pad: Tensor
    reduced: list[tuple[Tensor, Grid]] = field(default_factory=list)

    def spread(self, tokens: Tensor) -> Tensor:
        """Return the map (B, c, *grid) of superpixel tokens (B, n_0, c)."""
        return spread(tokens, self.cells, self.grid)

    def level_cells(self, index: int) -> tuple[Tensor, Grid]:
        """Return S_0 and grid of the map of ``levels[index]``."""
        return self.reduced[index] if self.reduced else (self.cells, self.grid)

    def segments(self, superpixels: Tensor) -> list[Tensor]:
        """Return label maps S_0, ..., S_L, each (B, H, W) as ``superpixels``, fine to coarse."""
        return hard_segments(superpixels, self.assignments)


class SHEDTrunk(nn.Module):
    """Bidirectional segment hierarchy over a convolution feature map (SHED, section 3).

    Args:
        blocks: timm ViT ``Block``s in order of use: those of the L encoder stages, ``base_blocks``, and those of the L
            decoder levels. Twelve as published: those of a ViT-Small, two a stage.
        dim: d, channels of a token; a multiple of four.
        options: all of them but the fusion decoder's.
        heads: attention heads of a graph pooling's own attention.
        cls_start: (d,) initial value of learned class tokens, the transformer's own for example; None draws them near
            zero.

    Raises:
        ValueError: if the number of blocks, ``dim`` or ``heads`` does not fit.
    """

    def __init__(
        self,
        blocks: Iterable[nn.Module],
        dim: int,
        options: SHEDOptions,
        *,
        heads: int = 12,
        cls_start: Tensor | None = None,
    ) -> None:
        super().__init__()
        if dim % 4:
            raise ValueError(f"`dim` is {dim}, but the sinusoidal positions need a multiple of 4")
        blocks = list(blocks)
        encoder_blocks = options.levels * options.blocks_of_a_stage(len(blocks))
        self.dim = dim
        self.options = options
        self.encoder = SegmentEncoder(blocks[:encoder_blocks], dim, options, heads=heads, cls_start=cls_start)
        self.decoder: SegmentDecoder | None = None
        self.base: BlockStage | None = None
        if options.reverse:
            self.decoder = SegmentDecoder(blocks[encoder_blocks:], dim, options, cls_start=cls_start)
            self.decoder.freeze_finer_than(min(options.fused_levels))
        else:
            self.base = BlockStage(blocks[encoder_blocks:])

    def forward(self, features: Tensor, superpixels: Tensor) -> TrunkOutput:
        """Run both hierarchies.

        Args:
            features: F_conv, (B, d, h0, w0).
            superpixels: S_0, (B, H, W) int64 ids in 0..n_0-1; ids may be empty.

        Raises:
            ValueError: if ``superpixels`` has ids beyond n_0 (CPU tensors only), or n_0 < n_1.
        """
        options = self.options
        height, width = superpixels.shape[1:]
        num_superpixels = (height // options.superpixel_size) * (width // options.superpixel_size)
        grid = (features.shape[2], features.shape[3])
        positions = sincos_positions(*grid, self.dim, device=features.device)
        cells = assign_cells(superpixels, grid, num_superpixels, options.s0)
        tokens, pad = segment_mean(features + positions.mT.unflatten(1, grid), cells, num_superpixels)
        encoded = self.encoder(tokens, pad)
        decoded = self._decode(encoded)
        if options.projection_stride is not None:
            grid = (height // options.projection_stride, width // options.projection_stride)
            cells = assign_cells(superpixels, grid, num_superpixels, options.s0)
        reduced = []
        if options.spatial_reduction == "dpt":
            grids = [(-(-grid[0] // 2**level), -(-grid[1] // 2**level)) for level in options.fused_levels]
            reduced = [(assign_cells(superpixels, own, num_superpixels, options.s0), own) for own in grids]
        return TrunkOutput(
            levels=[
                project_to_superpixels(decoded.tokens[level], decoded.assignments[:level])
                for level in options.fused_levels
            ],
            cells=cells,
            grid=grid,
            embedding=decoded.cls[:, 0],
            assignments=encoded.assignments,
            pad=pad,
            reduced=reduced,
        )

    def _decode(self, encoded: Encoded) -> Decoded:
        """Run the reverse hierarchy, or where there is none the last blocks on the encoder's coarsest tokens."""
        if self.decoder is not None:
            return self.decoder(encoded)
        assert self.base is not None
        cls, coarsest = self.base(encoded.cls, encoded.tokens)
        return Decoded([*encoded.skips, coarsest], cls, encoded.assignments)
