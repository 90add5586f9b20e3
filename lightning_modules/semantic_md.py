"""Semantic-MD: semantics as input, or as second task, of a network of segmentation-models-pytorch."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.backbones import Pretrained
from lightning_modules.batch import Batch
from lightning_modules.depth_data import DepthData
from lightning_modules.depth_module import DepthModule
from lightning_modules.losses import L1Loss, SegmentationLoss, SobelCorrelationLoss
from lightning_modules.losses.reduction import masked_mean
from lightning_modules.losses.sobel import depth_edges, sees_valid
from lightning_modules.networks.semantic_md.multi_head import MultiHeadNetwork
from lightning_modules.networks.semantic_md.network import Activation, SemanticMDNetwork
from lightning_modules.networks.semantic_md.semantic_inputs import OneHotClasses, SemanticInput
from lightning_modules.prediction import Prediction

Head = Literal["depth", "semantics", "contours"]


class SemanticMD(DepthModule):
    """Charyyev, Ghosh, Lemke, Zuria Bauer, Dusmanu, "Semantic-MD: Infusing Monocular Depth with Semantic Signals".

    All of the paper's models are this one: an input transformation, a network with one or more heads, and a weighted
    loss. The losses see depth in units of ``max_depth``; predictions are in metres.

    Args:
        encoder: timm name or ``smp:<encoder>``.
        decoder: architecture of segmentation-models-pytorch.
        pretrained: load the encoder's weights, or others, see :mod:`lightning_modules.backbones.initial_weights`.
        encoder_options: arguments that smp passes on to the encoder, such as ``img_size`` of a timm transformer.
        decoder_options: arguments of smp's model, such as ``decoder_channels``.
        semantic_input: transformation of ground-truth semantics that the network reads beside the image, in tests too;
            None for the image alone.
        heads: tasks, ``depth`` and any of ``semantics`` and ``contours``, borders of the semantics.
        classes: number of classes of the semantics.
        max_depth: metres; truth beyond counts as this much.
        depth_activation: of the depth head, ``sigmoid`` or ``none``; ``auto`` is the authors' choice, a sigmoid where
            depth is the only task and none beside others.
        depth_loss: loss of depth in units of ``max_depth``; None takes :class:`L1Loss`.
        semantic_loss: loss of the head ``semantics``; None takes the plain cross entropy.
        sobel_loss: correlation of the predicted depth's edges with the true contours, over pixels whose neighbours all
            have a depth; None takes :class:`SobelCorrelationLoss` with its defaults.
        semantic_weight: lambda of the semantic loss (equation 7).
        contour_weight: lambda of the contour head's cross entropy; the authors' configuration has 0.1.
        sobel_weight: lambda of ``sobel_loss`` (equation 10); 0 leaves it out.
        edge_target: truth of the head ``contours``: borders of the classes (``contours``), or edges of the true depth
            (``sobel``), found with the filter and the threshold of ``sobel_loss`` where all neighbours have a depth.
        kwargs: see :class:`DepthModule`.

    Raises:
        ValueError: if a head is unknown, missing or there twice, or encoder and decoder do not fit.
    """

    def __init__(
        self,
        *,
        encoder: str = "efficientnet_b4",
        decoder: str = "unet",
        pretrained: Pretrained = True,
        encoder_options: dict[str, Any] | None = None,
        decoder_options: dict[str, Any] | None = None,
        semantic_input: SemanticInput | None = None,
        heads: Sequence[Head] = ("depth",),
        classes: int = 40,
        max_depth: float = 15.0,
        depth_activation: Activation = "auto",
        depth_loss: nn.Module | None = None,
        semantic_loss: SegmentationLoss | None = None,
        sobel_loss: SobelCorrelationLoss | None = None,
        semantic_weight: float = 0.07,
        contour_weight: float = 0.07,
        sobel_weight: float = 0.0,
        edge_target: Literal["contours", "sobel"] = "contours",
        **kwargs: Any,
    ):
        super().__init__(depth_loss=depth_loss or L1Loss(), **kwargs)
        if "depth" not in heads or len(set(heads)) < len(heads) or not set(heads) <= set(get_args(Head)):
            raise ValueError(f"`heads` must have depth, and each of {', '.join(get_args(Head))} at most once: {heads}")
        channels = {"depth": 1, "semantics": classes, "contours": 2}
        backbone = MultiHeadNetwork(
            encoder,
            decoder,
            {head: channels[head] for head in heads},
            in_channels=3 + (semantic_input.channels if semantic_input else 0),
            pretrained=pretrained,
            encoder_options=encoder_options,
            decoder_options=decoder_options,
        )
        self.network = SemanticMDNetwork(
            backbone, semantic_input, max_depth=max_depth, depth_activation=depth_activation
        )
        self.heads, self.classes, self.max_depth = tuple(heads), classes, max_depth
        self.semantic_loss = semantic_loss or SegmentationLoss()
        self.sobel_loss = sobel_loss or SobelCorrelationLoss()
        self.semantic_weight, self.contour_weight, self.sobel_weight = semantic_weight, contour_weight, sobel_weight
        self.edge_target = edge_target
        self.class_pixels: list[int] = []
        needed = {"semantics"} if semantic_input is not None or "semantics" in heads else set()
        if "contours" in heads or sobel_weight:
            needed.add("edges")
        self.requires = frozenset(needed)  # type: ignore[misc]  # here the configuration decides
        self.oracle = self.oracle_of({"semantic_input": semantic_input})

    @classmethod
    def oracle_of(cls, arguments: Mapping[str, Any]) -> str:
        """Return ``semantics`` where semantic maps are an input: those of the truth, in tests too (section 4.2)."""
        return "semantics" if arguments.get("semantic_input") is not None else ""

    @property
    def facts(self) -> dict[str, Any]:
        """Return the base class's facts, with the classes of one-hot maps, most frequent first, and their pixels."""
        semantic_input = self.network.semantic_input
        if not isinstance(semantic_input, OneHotClasses) or not semantic_input.is_chosen:
            return super().facts
        ids = semantic_input.ids.tolist()
        pixels = [self.class_pixels[i] if i < len(self.class_pixels) else 0 for i in ids]
        return super().facts | {"onehot_classes": ids, "onehot_pixels": pixels}

    def check_data(self, data: DepthData, *, training: bool = False) -> None:
        """Check that data and network fit, and choose the classes of one-hot maps.

        Raises:
            ValueError: if they do not, naming the option to set.
        """
        super().check_data(data, training=training)
        if "semantics" in self.requires and data.classes != self.classes:
            raise ValueError(
                f"`{data.name}` has {data.classes} classes, the method {self.classes}: set `model.init_args.classes` "
                f"to {data.classes}"
            )
        for size in {tuple(data.crop), *data.input_sizes}:
            self.network.backbone.check_size(*size)
        semantic_input = self.network.semantic_input
        if isinstance(semantic_input, OneHotClasses) and not semantic_input.is_chosen and len(data.splits.train):
            counted = semantic_input.order, semantic_input.counted_frames
            try:
                self.class_pixels = data.class_pixels(*counted)
                semantic_input.choose(data.class_order(*counted))
            except FileNotFoundError:
                if training:
                    raise  # in a test the checkpoint has the choice, and training frames need not be there

    def forward(self, batch: Batch) -> Prediction:
        """Predict the tasks of all heads from ``image``, and from ``semantics`` where they are an input."""
        outputs = self.network(batch["image"], batch["semantics"] if self.oracle else None)
        contours = outputs.get("contours")
        return Prediction(
            depth=outputs["depth"],
            semantics=outputs.get("semantics"),
            # the logit of two channels' softmax
            edges=None if contours is None else contours[:, 1:] - contours[:, :1],
        )

    def losses(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of the training loss, equation 7, by name."""
        depth = cast(Tensor, prediction.depth) / self.max_depth
        truth = batch["depth"].clamp(max=self.max_depth) / self.max_depth
        losses = {"depth": self.depth_loss(depth, truth, batch["valid"])}
        if prediction.semantics is not None:
            losses["semantics"] = self.semantic_weight * self.semantic_loss(prediction.semantics, batch["semantics"])
        if prediction.edges is not None:
            edges, known = batch["edges"], torch.ones_like(batch["valid"])  # a pixel without a label has a border, too
            if self.edge_target == "sobel":
                threshold, size = self.sobel_loss.threshold, self.sobel_loss.size
                edges, known = depth_edges(truth, threshold, size=size), sees_valid(batch["valid"], size)
            losses["contours"] = self.contour_weight * mean_binary_cross_entropy(prediction.edges, edges, known)
        if self.sobel_weight:
            losses["sobel"] = self.sobel_weight * self.sobel_loss(depth, batch["edges"], batch["valid"])
        return losses


def mean_binary_cross_entropy(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over the known pixels of all processes, in float32 at least; 0 if none is.

    Args:
        logits: (B, 1, H, W).
        target: (B, 1, H, W) in {0, 1}.
        known: (B, 1, H, W) bool, pixels that are counted.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return masked_mean(F.binary_cross_entropy_with_logits(logits, target.to(logits), reduction="none"), known)
