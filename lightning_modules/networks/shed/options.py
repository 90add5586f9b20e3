"""All that a configuration can choose in SHED."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lightning_modules.networks.depth_head import DepthParametrisation
from lightning_modules.networks.dpt.fusion import MapFusionRule
from lightning_modules.networks.named_options import check_names

CellRule = Literal["nearest", "area"]
PadRule = Literal["masked", "cast"]
PoolMlp = Literal["cast", "paper"]
UnpoolMlp = Literal["plain", "residual"]
SimilarityRule = Literal["nodes", "tokens"]
ClassTokenStart = Literal["pretrained", "fresh"]
ClassTokenRule = Literal["propagate", "fresh_per_level"]
SkipRule = Literal["post_block", "pre_block"]
UnpoolRule = Literal["soft", "hard"]
AssignmentRule = Literal["shared", "own"]
ReductionRule = Literal["none", "dpt"]
LevelFusionRule = Literal["maps", "tokens"]
ReadoutRule = Literal["ignore", "project"]


@dataclass(frozen=True)
class SHEDOptions:
    """Sizes and readings of SHED ("SHED Light on Segmentation for Depth Estimation", section 3).

    Level 0 are the superpixels, levels 1..L the segments of L graph poolings; the encoder goes up, the decoder down.
    Where the paper leaves a choice, the first value named is the default.

    Attributes:
        segments: n_1, ..., n_L, number of tokens after each graph pooling, decreasing.
        superpixel_size: pixels along a side of the square that a superpixel starts from, as the data make them; an
            image of H x W pixels has n_0 = (H // size) (W // size) superpixels.
        width: channels of the fusion decoder.
        max_depth: metres, upper bound of ``depth_param: sigmoid_max``.
        depth_param: how the network's output becomes metres, see
            :func:`lightning_modules.networks.depth_head.to_depth`.
        blocks_per_stage: transformer blocks before each pooling and after each unpooling; None shares all blocks of the
            backbone evenly (two a stage for the twelve of a ViT-Small and three poolings, as published).
        base_blocks: transformer blocks on the coarsest tokens, between encoder and decoder.
        map_levels: levels whose maps are fused; None is all. The paper's text says 1..L: what the decoder does at level
            0 then has no influence on the maps, so its parameters are frozen.
        s0: how a cell of the stride-8 features belongs to superpixels: ``nearest``, to that of one of its pixels, or
            ``area``, to each by its share of the cell's pixels.
        pool_scale: factor of the cosine similarity before the softmax of an assignment (inverse temperature).
        pool_mlp: where a graph pooling takes the weighted mean of tokens: inside its MLP (``cast``, as CAST's release
            does) or before it (``paper``, as printed).
        similarity: what is compared when tokens are assigned to segments: ``nodes``, the tokens after one more
            attention (as in CAST), or the ``tokens`` themselves (as printed).
        pad_tokens: superpixels that own no cell are ``masked``, so that they change no result, or take part as zero
            tokens (``cast``, as CAST's release does). They never become seeds.
        cls: ``propagate``, one class token runs through all levels, or ``fresh_per_level``, each level starts from a
            learned token of its own.
        cls_token: initial value of learned class tokens: the transformer's own (``pretrained``, as in DPT) or near zero
            (``fresh``, as in CAST). A transformer without a class token leaves only ``fresh``.
        skip: tokens that the decoder gets from an encoder stage: after its blocks (``post_block``) or before them
            (``pre_block``).
        unpool_mlp: MLP after unpooling, ``plain``, MLP(x) as printed, or ``residual``, x + MLP(x).
        level_fusion: fuse the levels' ``maps`` by convolutions (as printed), or their ``tokens`` by one linear map a
            level and a sum, a light variant that is not the paper's.
        readout: ``ignore`` the class token when levels are fused, or ``project`` it into each token, as DPT does.
        map_fusion: how the stem's maps join: ``add``, as they are, or ``refine``, after a residual unit each (DPT).
        unpool: each fine token gets a mean of coarse ones, weighted by its assignment (``soft``), or the one that it is
            assigned to most (``hard``).
        assignment: by which the decoder unpools: ``shared``, the encoder's, or its ``own``, learned from its tokens.
        reverse: whether there is a decoder over segments; without, maps are made of the encoder's tokens.
        spatial_reduction: ``none``, all level maps have one size, or ``dpt``, the map of level l has 1 / 2^l of the
            height and width, rounded up; needs ``level_fusion: maps``.
        projection_stride: stride in pixels of the grid that tokens are spread over, 4 or 8; None is 8, the features'.

    Raises:
        ValueError: if a value is unknown, or two values contradict each other, with the names of the options.
    """

    segments: Sequence[int] = (256, 128, 64)
    superpixel_size: int = 16
    width: int = 256
    max_depth: float = 10.0
    depth_param: DepthParametrisation = "sigmoid_max"
    blocks_per_stage: int | None = None
    base_blocks: int = 0
    map_levels: Sequence[int] | None = None
    s0: CellRule = "nearest"
    pool_scale: float = 5.0
    pool_mlp: PoolMlp = "cast"
    similarity: SimilarityRule = "nodes"
    pad_tokens: PadRule = "masked"
    cls: ClassTokenRule = "propagate"
    cls_token: ClassTokenStart = "pretrained"
    skip: SkipRule = "post_block"
    unpool_mlp: UnpoolMlp = "plain"
    level_fusion: LevelFusionRule = "maps"
    readout: ReadoutRule = "ignore"
    map_fusion: MapFusionRule = "add"
    unpool: UnpoolRule = "soft"
    assignment: AssignmentRule = "shared"
    reverse: bool = True
    spatial_reduction: ReductionRule = "none"
    projection_stride: int | None = None

    def __post_init__(self) -> None:
        check_names(self)
        segments = list(self.segments)
        if not segments or segments != sorted(set(segments), reverse=True) or min(segments) < 1:
            raise ValueError(f"`segments` is {segments}, but must be positive and decreasing, from fine to coarse")
        if not set(self.fused_levels) <= set(range(self.levels + 1)) or not self.fused_levels:
            raise ValueError(
                f"`map_levels` is {list(self.fused_levels)}; choose some of {list(range(self.levels + 1))}"
            )
        if (self.unpool, self.assignment) == ("hard", "own"):  # the similarity would never learn
            raise ValueError("`assignment: own` learns through soft unpooling only: set `unpool: soft`, or share")
        if self.projection_stride not in (None, 4, 8):
            raise ValueError(f"`projection_stride` is {self.projection_stride}; the maps are projected at 4 or 8")
        if self.spatial_reduction != "none" and self.level_fusion != "maps":
            raise ValueError(
                f"`spatial_reduction: {self.spatial_reduction}` is of maps, but `level_fusion` is {self.level_fusion}: "
                "set it to maps"
            )

    @property
    def levels(self) -> int:
        """Return l, the number of graph poolings."""
        return len(self.segments)

    @property
    def fused_levels(self) -> tuple[int, ...]:
        """Return levels whose maps are fused, of 0..L."""
        return tuple(range(self.levels + 1)) if self.map_levels is None else tuple(self.map_levels)

    def blocks_of_a_stage(self, blocks: int) -> int:
        """Return how many transformer blocks each stage of encoder and decoder has, of so many in all.

        Raises:
            ValueError: if the blocks cannot be shared so.
        """
        stages = (1 + self.reverse) * self.levels
        per_stage = self.blocks_per_stage
        if per_stage is None:
            per_stage, left_over = divmod(blocks - self.base_blocks, stages)
            if left_over or per_stage < 1:
                raise ValueError(
                    f"{blocks} ViT blocks cannot be shared evenly by {stages} stages after {self.base_blocks} "
                    "`base_blocks`; change `base_blocks` or the number of `segments`"
                )
        needed = stages * per_stage + self.base_blocks
        if blocks != needed:
            raise ValueError(
                f"{blocks} ViT blocks given, {needed} needed: {1 + self.reverse} x {self.levels} levels x "
                f"{per_stage} `blocks_per_stage` + {self.base_blocks} `base_blocks`"
            )
        return per_stage
