"""SHED: a segment hierarchy inside the transformer, up for grouping and down for prediction."""

from collections.abc import Sequence
from typing import Any, ClassVar

from lightning_modules.backbones import class_token_start, create_hybrid_parts
from lightning_modules.batch import Batch
from lightning_modules.depth_module import DepthModule
from lightning_modules.networks.depth_head import DepthParametrisation
from lightning_modules.networks.dpt.fusion import MapFusionRule
from lightning_modules.networks.named_options import check_option
from lightning_modules.networks.shed import SHEDTrunk
from lightning_modules.networks.shed.network import LevelFusionRule, ReadoutRule, SHEDNetwork
from lightning_modules.networks.shed.options import (
    AssignmentRule,
    CellRule,
    ClassTokenRule,
    ClassTokenStart,
    PadRule,
    PoolMlp,
    ReductionRule,
    SimilarityRule,
    SkipRule,
    UnpoolMlp,
    UnpoolRule,
)
from lightning_modules.prediction import Prediction


class SHED(DepthModule):
    """Lee, Mo, Yu, "SHED Light on Segmentation for Depth Estimation", section 3.

    The twelve blocks of a ViT-Small are split six and six between the two hierarchies. Where the paper leaves a choice,
    the first reading named is the default.

    Args:
        backbone: ``<stem>+<vit>`` of the registry; of the transformer only the blocks are used.
        pretrained: load the weights of both parts.
        segments: tokens after each graph pooling.
        superpixel_size: pixels along a side of the square that a superpixel starts from, as the data make them.
        width: channels of the fusion decoder.
        max_depth: metres, bound of ``sigmoid_max``.
        depth_param: see :func:`lightning_modules.networks.depth_head.to_depth`.
        blocks_per_stage: transformer blocks before each pooling and after each unpooling; None shares them evenly.
        base_blocks: transformer blocks on the coarsest tokens.
        map_levels: levels whose maps are fused; None is all. The paper's text says 1..3.
        s0: how stride-8 cells belong to superpixels, ``nearest`` or ``area``.
        pool_scale: factor of the cosine before the softmax.
        pool_mlp: ``cast`` or ``paper``.
        similarity: by which tokens are assigned to segments, of ``nodes`` (the tokens after an attention more, as in
            CAST) or of the ``tokens`` themselves, as printed.
        pad_tokens: ``masked`` or ``cast``, for superpixels that own no cell.
        cls: ``propagate`` or ``fresh_per_level``.
        cls_token: begins as the transformer's own (``pretrained``), as DPT's does, or near zero (``fresh``), as CAST's
            does; a transformer without one leaves only the latter.
        skip: ``post_block`` or ``pre_block``.
        unpool_mlp: ``plain`` or ``residual``.
        level_fusion: of the level maps, ``maps`` (the paper's) or ``tokens`` (a light variant).
        readout: ``ignore`` or ``project``.
        map_fusion: of the stem's maps, ``add`` or ``refine``, see :class:`SHEDNetwork`.
        unpool: ``soft`` or ``hard``.
        assignment: ``shared`` by encoder and decoder, or the decoder's ``own``.
        reverse: whether there is a reverse hierarchy.
        spatial_reduction: of the level maps, ``none`` or ``dpt``; the latter needs ``level_fusion: maps``.
        projection_stride: of the level maps, 4 or 8; None is 8, the features' own.
        kwargs: see :class:`DepthModule`.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"superpixels"})

    def __init__(
        self,
        *,
        backbone: str = "resnet50.a1_in1k+vit_small_patch16_384.augreg_in1k",
        pretrained: bool = True,
        segments: Sequence[int] = (256, 128, 64),
        superpixel_size: int = 16,
        width: int = 256,
        max_depth: float = 10.0,
        depth_param: DepthParametrisation = "sigmoid_max",
        blocks_per_stage: int | None = None,
        base_blocks: int = 0,
        map_levels: Sequence[int] | None = None,
        s0: CellRule = "nearest",
        pool_scale: float = 5.0,
        pool_mlp: PoolMlp = "cast",
        similarity: SimilarityRule = "nodes",
        pad_tokens: PadRule = "masked",
        cls: ClassTokenRule = "propagate",
        cls_token: ClassTokenStart = "pretrained",
        skip: SkipRule = "post_block",
        unpool_mlp: UnpoolMlp = "plain",
        level_fusion: LevelFusionRule = "maps",
        readout: ReadoutRule = "ignore",
        map_fusion: MapFusionRule = "add",
        unpool: UnpoolRule = "soft",
        assignment: AssignmentRule = "shared",
        reverse: bool = True,
        spatial_reduction: ReductionRule = "none",
        projection_stride: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_option("cls_token", cls_token, ClassTokenStart)
        stem, transformer = create_hybrid_parts(backbone, strides=(4, 8), pretrained=pretrained)
        trunk = SHEDTrunk(
            transformer.blocks,
            transformer.embed_dim,
            segments,
            blocks_per_stage=blocks_per_stage,
            base_blocks=base_blocks,
            superpixel_size=superpixel_size,
            map_levels=map_levels,
            s0=s0,
            pool_scale=pool_scale,
            pool_mlp=pool_mlp,
            similarity=similarity,
            pad_tokens=pad_tokens,
            cls=cls,
            cls_start=class_token_start(transformer) if cls_token == "pretrained" else None,
            skip=skip,
            unpool_mlp=unpool_mlp,
            unpool=unpool,
            assignment=assignment,
            reverse=reverse,
            spatial_reduction=spatial_reduction,
            projection_stride=projection_stride,
        )
        self.network = SHEDNetwork(
            stem,
            trunk,
            width=width,
            level_fusion=level_fusion,
            readout=readout,
            map_fusion=map_fusion,
            max_depth=max_depth,
            depth_param=depth_param,
        )

    def forward(self, batch: Batch) -> Prediction:
        """Predict from ``image`` and ``superpixels``; the segments come along outside training."""
        superpixels = batch["superpixels"]
        depth, trunk = self.network(batch["image"], superpixels)
        segments = [] if self.training else trunk.segments(superpixels)
        return Prediction(depth=depth, segments=segments, embedding=trunk.embedding)
