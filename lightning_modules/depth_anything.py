"""Depth Anything v2, metric: the baseline of SHED's cross-domain comparison."""

from collections.abc import Sequence
from typing import Any, Literal

from lightning_modules.backbones import Pretrained, TimmViT
from lightning_modules.backbones.initial_weights import are_left_out
from lightning_modules.backbones.released import Names, load_released, rename
from lightning_modules.backbones.timm_backbones import is_vision_transformer
from lightning_modules.backbones.weight_files import read_weights
from lightning_modules.batch import Batch
from lightning_modules.depth_module import DepthModule
from lightning_modules.networks.depth_head import DepthParametrisation
from lightning_modules.networks.dpt.dpt_vit import DPTViTNetwork
from lightning_modules.prediction import Prediction

_UNIT = r"conv([12])\.(weight|bias)"

#: Names of the release (`depth_anything_v2_metric_hypersim_vits.pth` and its like). The mask token is DINOv2's own
#: training's; the coarsest fusion block has a skip unit that the release never calls.
RELEASED_NAMES: Names = (
    (r"pretrained\.mask_token", None),
    (r"pretrained\.(.+)", r"backbone.network.\1"),
    (r"depth_head\.projects\.(\d)\.(.+)", r"projections.\1.\2"),
    (r"depth_head\.resize_layers\.(\d)\.(.+)", r"resizings.\1.\2"),
    (r"depth_head\.scratch\.layer1_rn\.weight", r"map_projections.0.weight"),
    (r"depth_head\.scratch\.layer2_rn\.weight", r"map_projections.1.weight"),
    (r"depth_head\.scratch\.layer3_rn\.weight", r"map_projections.2.weight"),
    (r"depth_head\.scratch\.layer4_rn\.weight", r"map_projections.3.weight"),
    (rf"depth_head\.scratch\.refinenet4\.resConfUnit1\.{_UNIT}", None),
    *(
        (rf"depth_head\.scratch\.refinenet{level + 1}\.{released}", rf"fusion.{level}.{own}")
        for level in range(4)
        for released, own in (
            (rf"resConfUnit1\.{_UNIT}", r"skip_unit.conv\1.\2"),
            (rf"resConfUnit2\.{_UNIT}", r"unit.conv\1.\2"),
            (r"out_conv\.(weight|bias)", r"project.\1"),
        )
    ),
    (r"depth_head\.scratch\.output_conv1\.(weight|bias)", r"head.conv1.\1"),
    (r"depth_head\.scratch\.output_conv2\.0\.(weight|bias)", r"head.conv2.\1"),
    (r"depth_head\.scratch\.output_conv2\.2\.(weight|bias)", r"head.conv3.\1"),
)


class DepthAnythingV2(DepthModule):
    """DPT on DINOv2 (Yang et al., NeurIPS 2024), with the metric output of its release: a sigmoid times a depth.

    The sizes of the release, by ``backbone``, ``taps``, ``channels`` and ``width``: small is the default; base
    ``vit_base_patch14_dinov2``, [2, 5, 8, 11], [96, 192, 384, 768], 128; large ``vit_large_patch14_dinov2``,
    [4, 11, 17, 23], [256, 512, 1024, 1024], 256. Any other vision transformer of the registry works as well.

    Args:
        backbone: vision transformer of the registry.
        pretrained: load its weights, or others, if no ``checkpoint`` is named,
            see :mod:`lightning_modules.backbones.initial_weights`.
        checkpoint: file of released weights, metric or relative; every name and shape is checked.
        checkpoint_part: load ``all`` of it, or the ``encoder`` alone, as the release does to train metric depth.
        taps: indices of the four blocks that are read, from 0; None spaces them evenly.
        channels: of the four reassembled maps, fine to coarse.
        width: channels of the fusion decoder.
        max_depth: metres, upper bound of ``depth_param: sigmoid_max``.
        depth_param: how the output becomes metres, see :func:`lightning_modules.networks.depth_head.to_depth`.
        kwargs: see :class:`DepthModule`.

    Raises:
        ValueError: if the backbone is no vision transformer, or the checkpoint does not fit.
    """

    def __init__(
        self,
        *,
        backbone: str = "vit_small_patch14_dinov2.lvd142m",
        pretrained: Pretrained = True,
        checkpoint: str | None = None,
        checkpoint_part: Literal["all", "encoder"] = "all",
        taps: Sequence[int] | None = (2, 5, 8, 11),
        channels: Sequence[int] = (48, 96, 192, 384),
        width: int = 64,
        max_depth: float = 20.0,
        depth_param: DepthParametrisation = "sigmoid_max",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not is_vision_transformer(backbone):
            raise ValueError(
                f"Depth Anything v2 reads the blocks of a vision transformer, backbone `{backbone}` is none"
            )
        encoder = TimmViT(backbone, blocks=taps, norm=True, pretrained=pretrained if checkpoint is None else False)
        self.network = DPTViTNetwork(
            encoder, channels=channels, width=width, max_depth=max_depth, depth_param=depth_param
        )
        if checkpoint is not None and not are_left_out():
            self.load_checkpoint(checkpoint, checkpoint_part)

    def load_checkpoint(self, path: str, part: Literal["all", "encoder"] = "all") -> None:
        """Load released weights.

        Args:
            path: file of a release.
            part: ``all`` of the weights, or those of the ``encoder`` alone.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no file of weights, or a name or shape does not fit.
        """
        weights = rename(read_weights(path), RELEASED_NAMES, path)
        weights["head.max_depth"] = self.network.head.max_depth  # the release keeps it outside its weights
        wanted = "backbone." if part == "encoder" else ""
        load_released(self.network, weights, path, wanted=lambda name: name.startswith(wanted))

    def forward(self, batch: Batch) -> Prediction:
        """Predict depth and the image's class token from ``image``."""
        output = self.network(batch["image"])
        return Prediction(depth=output.depth, embedding=output.embedding)
