"""CAST: the segment hierarchy that SHED builds on, learned from recognition."""

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from lightning_modules.backbones.fitting import Wanted, fit
from lightning_modules.backbones.initial_weights import Pretrained, are_left_out, source_of_one, weight_path
from lightning_modules.backbones.local_weights import KEY
from lightning_modules.backbones.released import Names, load_released, rename
from lightning_modules.backbones.weight_files import read_weights
from lightning_modules.backbones.wheels import LITE
from lightning_modules.batch import Batch
from lightning_modules.depth_data import DepthData
from lightning_modules.depth_module import DepthModule
from lightning_modules.losses import ImageClassLoss
from lightning_modules.networks.cast.network import CASTNetwork
from lightning_modules.networks.shed.options import PadRule
from lightning_modules.prediction import Prediction


def released_names(depths: Sequence[int]) -> Names:
    """Return the names of the release's checkpoints, supervised or by MoCo v3, and what they are called here.

    Left out are MoCo's second network and heads, and of the release itself: each block's second registration (as one
    of its stage besides one of ``blocks``), fixed positions, a last pooling whose result is not used, and the
    classifier, which is ImageNet's.

    Args:
        depths: transformer blocks of each stage.
    """
    stages = [f"encoder.stages.{stage}" for stage in range(len(depths) - 1)] + ["last"]
    places = [f"{stage}.blocks.{i}" for stage, depth in zip(stages, depths, strict=True) for i in range(depth)]
    base = r"(?:base_encoder\.)?"
    poolings = itertools.chain.from_iterable(
        (
            (rf"{base}pool{level + 1}\.pool_block\.centroid_fc\.norm\.(.+)", rf"encoder.poolings.{level}.node_norm.\1"),
            (rf"{base}pool{level + 1}\.pool_block\.centroid_fc\.attn\.(.+)", rf"encoder.poolings.{level}.node_attn.\1"),
            (rf"{base}pool{level + 1}\.pool_block\.centroid_fc\.bias", rf"encoder.poolings.{level}.node_bias"),
            (rf"{base}pool{level + 1}\.pool_block\.fc1\.(.+)", rf"encoder.poolings.{level}.expand.\1"),
            (rf"{base}pool{level + 1}\.pool_block\.fc2\.(.+)", rf"encoder.poolings.{level}.contract.\1"),
        )
        for level in range(len(depths) - 1)
    )
    return (
        (r"(?:momentum_encoder|predictor)\..+", None),
        (rf"{base}(?:head|pos_embed|pe_token|blocks\d|pool{len(depths)})(?:\..+)?", None),
        (rf"{base}cls_token", "encoder.cls_tokens"),
        (rf"{base}patch_embed\.proj\.(.+)", r"backbone.layers.\1"),
        (rf"{base}norm\.(.+)", r"norm.\1"),
        *((rf"{base}blocks\.{index}\.(.+)", rf"{place}.\1") for index, place in enumerate(places)),
        *poolings,
    )


class CAST(DepthModule):
    """Ke, Mo, Yu, "Learning Hierarchical Image Segmentation For Recognition and By Recognition", ICLR 2024.

    It predicts no depth: it learns which classes an image shows, and the segments by which it does are its prediction.
    As in the paper, which pre-trains on ImageNet, ``pretrained`` starts from a released checkpoint.

    Args:
        dim: width of the tokens, 384 for CAST-S and 768 for CAST-B.
        depths: transformer blocks of each stage, one stage more than there are poolings.
        segments: tokens after each graph pooling.
        heads: attention heads, 12 in the release.
        classes: number of classes of the data's ``semantics``.
        superpixel_size: pixels along a side of the square that a superpixel starts from, as the data make them.
        pad_tokens: superpixels that own no cell are ``masked``, so that they change no result, or take part as zero
            tokens (``cast``, as the release has it).
        min_share: share of an image's labelled pixels that a class has to cover to count as shown, [0, 1).
        pretrained: file of weights to start from, the release's or those of a run; true stands for ``checkpoint``,
            which then has to be named; false for random weights.
        checkpoint: file of the release's weights; every name and shape is checked.
        kwargs: see :class:`DepthModule`.

    Raises:
        ValueError: if pretrained weights are asked for and none are named, or they do not fit.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"superpixels"})
    predicts_depth: ClassVar[bool] = False
    learns_from: ClassVar[frozenset[str]] = frozenset({"semantics"})
    selected_by: ClassVar[str] = "val/loss"

    def __init__(
        self,
        *,
        dim: int = 384,
        depths: Sequence[int] = (3, 3, 3, 2),
        segments: Sequence[int] = (64, 32, 16),
        heads: int = 12,
        classes: int = 40,
        superpixel_size: int = 16,
        pad_tokens: PadRule = "masked",
        min_share: float = 0.0,
        pretrained: Pretrained = True,
        checkpoint: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        source = source_of_one("CAST", pretrained)
        if source == LITE or (source is True and checkpoint is None):
            place = "in no package" if source == LITE else "on no hub"
            raise ValueError(
                f"CAST's weights are {place}: take them from the repository twke18/CAST and name the file with "
                "`--model.init_args.pretrained FILE`, or start from random weights with `--model.init_args.pretrained "
                "false`"
            )
        if isinstance(source, str) and checkpoint is not None:
            raise ValueError(f"`pretrained` names {source}, `checkpoint` {checkpoint}: leave one of the two files out")
        self.network = CASTNetwork(
            dim=dim,
            depths=depths,
            segments=segments,
            heads=heads,
            classes=classes,
            superpixel_size=superpixel_size,
            pad_tokens=pad_tokens,
        )
        self.class_loss = ImageClassLoss(min_share)
        if checkpoint is not None and not are_left_out():
            self.load_checkpoint(checkpoint, depths)
        if isinstance(source, str) and not are_left_out():
            self._start_from(weight_path(source), depths)

    def _start_from(self, path: str, depths: Sequence[int]) -> None:
        """Load weights by the release's names or this network's own, a classifier of as many classes too.

        Raises:
            ValueError: if it is no file of weights, or does not fit, with a list of what does not.
        """
        names = released_names(depths)
        wanted = Wanted(
            "CAST", self.network.state_dict(), ("head",), convert=lambda weights: rename(weights, names, path)
        )
        self.network.load_state_dict(fit(read_weights(path, KEY), wanted, path), strict=False)

    def load_checkpoint(self, path: str, depths: Sequence[int]) -> None:
        """Load released weights, all but the classifier.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no file of weights, or a name or shape does not fit.
        """
        weights = rename(read_weights(path), released_names(depths), path)
        load_released(self.network, weights, path, wanted=lambda name: not name.startswith("head."))

    def check_data(self, data: DepthData, *, training: bool = False) -> None:
        """Check what the base class checks, and for training that the data have as many classes as are predicted.

        Raises:
            ValueError: if they do not, naming the option to set.
        """
        super().check_data(data, training=training)
        own = self.network.head.out_features
        if training and data.classes != own:
            raise ValueError(
                f"CAST predicts {own} classes, `{data.name}` has {data.classes}: set `model.init_args.classes`"
            )

    def forward(self, batch: Batch) -> Prediction:
        """Predict classes from ``image`` and ``superpixels``, and outside training the segments of each level."""
        superpixels = batch["superpixels"]
        output = self.network(batch["image"], superpixels)
        segments = [] if self.training else output.segments(superpixels)
        return Prediction(segments=segments, embedding=output.embedding, image_classes=output.logits)

    def losses(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Return the loss of the classes that images show, ``image_classes``."""
        return {"image_classes": self.class_loss(prediction.image_classes, batch["semantics"])}
