"""DPT-Hybrid, the baseline that SHED is built on and compared with."""

from typing import Any

from lightning_modules.backbones import HybridBackbone, Pretrained
from lightning_modules.batch import Batch
from lightning_modules.depth_module import DepthModule
from lightning_modules.networks.depth_head import DepthParametrisation
from lightning_modules.networks.dpt.dpt_hybrid import DPTHybridNetwork
from lightning_modules.networks.dpt.fusion import MapFusionRule
from lightning_modules.prediction import Prediction
from lightning_modules.training.cast_once import call_with_cast_weights


class DPTHybrid(DepthModule):
    """Dense Prediction Transformer on a convolutional stem (Ranftl et al., ICCV 2021).

    It reads the tokens at 3/4 and at the end of the transformer, as the release does (after blocks 9 and 12 of 12).

    Args:
        backbone: hybrid ``<stem>+<vit>`` of the registry.
        pretrained: load the weights of both parts, or ``{stem: ..., transformer: ...}``,
            see :mod:`lightning_modules.backbones.initial_weights`.
        width: channels of the fusion decoder.
        map_fusion: how the stem's maps join: ``refine``, after a residual unit each, as in the release, or ``add``, as
            they are.
        max_depth: metres, upper bound of ``depth_param: sigmoid_max``.
        depth_param: how the output becomes metres, see :func:`lightning_modules.networks.depth_head.to_depth`.
        kwargs: see :class:`DepthModule`.
    """

    def __init__(
        self,
        *,
        backbone: str = "resnet50.a1_in1k+vit_small_patch16_384.augreg_in1k",
        pretrained: Pretrained = True,
        width: int = 256,
        map_fusion: MapFusionRule = "refine",
        max_depth: float = 10.0,
        depth_param: DepthParametrisation = "sigmoid_max",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.network = DPTHybridNetwork(
            HybridBackbone(backbone, strides=(4, 8, 16), pretrained=pretrained),
            width=width,
            map_fusion=map_fusion,
            max_depth=max_depth,
            depth_param=depth_param,
        )

    def forward(self, batch: Batch) -> Prediction:
        """Predict depth and the image's class token from ``image``."""
        output = call_with_cast_weights(self.network, batch["image"])
        return Prediction(depth=output.depth, embedding=output.embedding)
