"""SHED: a segment hierarchy inside the transformer, up for grouping and down for prediction."""

from typing import Any, ClassVar

from lightning_modules.backbones import Pretrained, class_token_start, create_hybrid_parts
from lightning_modules.batch import Batch
from lightning_modules.depth_module import DepthModule
from lightning_modules.flat_options import split_between
from lightning_modules.networks.shed.network import SHEDNetwork
from lightning_modules.networks.shed.options import SHEDOptions
from lightning_modules.networks.shed.trunk import SHEDTrunk
from lightning_modules.prediction import Prediction
from lightning_modules.training.cast_once import call_with_cast_weights

split_arguments = split_between(SHEDOptions, DepthModule)


class SHED(DepthModule):
    """Lee, Mo, Yu, "SHED Light on Segmentation for Depth Estimation", section 3.

    Args:
        backbone: ``<stem>+<vit>`` of the registry; of the transformer only the blocks are used.
        pretrained: load the weights of both parts, or ``{stem: ..., transformer: ...}``,
            see :mod:`lightning_modules.backbones.initial_weights`.
        kwargs: fields of :class:`SHEDOptions`, and arguments of :class:`DepthModule`.

    Raises:
        ValueError: if an option is unknown, contradicts another, or does not fit the backbone.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"superpixels"})

    def __init__(
        self,
        *,
        backbone: str = "resnet50.a1_in1k+vit_small_patch16_384.augreg_in1k",
        pretrained: Pretrained = True,
        **kwargs: Any,
    ):
        options, others = split_arguments(**kwargs)
        super().__init__(**others)
        self.hparams.update(vars(options))  # a checkpoint keeps the options that were not given, too
        stem, transformer = create_hybrid_parts(backbone, strides=(4, 8), pretrained=pretrained)
        start = class_token_start(transformer) if options.cls_token == "pretrained" else None
        trunk = SHEDTrunk(transformer.blocks, transformer.embed_dim, options, cls_start=start)
        self.network = SHEDNetwork(stem, trunk)

    def forward(self, batch: Batch) -> Prediction:
        """Predict depth from ``image`` and ``superpixels``, and outside training the segments of each level."""
        superpixels = batch["superpixels"]
        depth, trunk = call_with_cast_weights(self.network, batch["image"], superpixels)
        segments = [] if self.training else trunk.segments(superpixels)
        return Prediction(depth=depth, segments=segments, embedding=trunk.embedding)
