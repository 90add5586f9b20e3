"""Guided MTI-Net: segmentation and edges, learned beside depth, guide it by attention."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor, nn

from lightning_modules.backbones import Pretrained, create_backbone
from lightning_modules.batch import Batch
from lightning_modules.depth_data import DepthData
from lightning_modules.depth_module import DepthModule
from lightning_modules.flat_options import split_between
from lightning_modules.losses import BalancedBCELoss, LearnedTaskWeights, SemanticCrossEntropy, StructuredDepthLoss
from lightning_modules.networks.mti_net import MTINetwork
from lightning_modules.networks.mti_net.options import TASKS, MTINetOptions
from lightning_modules.prediction import Prediction

split_arguments = split_between(MTINetOptions, DepthModule)


@dataclass
class MTINetPrediction(Prediction):
    """A prediction, with outputs that only the losses read.

    Attributes:
        class_logits: (B, num_classes, H, W) logits; ``semantics`` is the part of them that the data have classes for.
        initial: task to its initial predictions (B, channels, h, w) at strides 4 to 32, fine to coarse; empty outside
            training.
    """

    class_logits: Tensor | None = None
    initial: dict[str, list[Tensor]] = field(default_factory=dict)


class GuidedMTINet(DepthModule):
    """Depth, segmentation and edges of one network, in which the other two guide depth.

    Yigit, "Beneath the Surface: Enhancing Scene Perception through Unified Semantic Segmentation and Depth Estimation",
    2024, sections 4 and 5.

    Args:
        backbone: name in the registry; the paper has a ResNet-50 with torchvision's weights.
        pretrained: load its weights, or others, see :mod:`lightning_modules.backbones.initial_weights`.
        depth_loss: loss of the task ``depth``; None takes the paper's structured depth loss (section 5.3.1).
        edge_loss: loss of the task ``edges``; None takes a binary cross-entropy balanced by the frequency of edges.
        task_weights: factors on the tasks' losses, by task; tasks that are not named have 1.
        learned_weights: multiply these factors by weights that are learned, see
            :class:`~lightning_modules.losses.LearnedTaskWeights`.
        kwargs: fields of :class:`MTINetOptions`, and arguments of :class:`DepthModule`.

    Raises:
        ValueError: if a weight is negative or of an unknown task, an option is unknown or contradicts another, or the
            backbone does not fit.
    """

    learns_by_depth_loss = False  # the structured loss is part of the method

    def __init__(
        self,
        *,
        backbone: str = "resnet50.tv_in1k",
        pretrained: Pretrained = True,
        depth_loss: StructuredDepthLoss | None = None,
        edge_loss: BalancedBCELoss | None = None,
        task_weights: Mapping[str, float] | None = None,
        learned_weights: bool = False,
        **kwargs: Any,
    ):
        options, others = split_arguments(**kwargs)
        super().__init__(depth_loss=depth_loss or StructuredDepthLoss(), **others)
        self.hparams.update(vars(options))  # a checkpoint keeps the options that were not given, too
        self.options = options
        self.task_weights = dict.fromkeys(options.tasks, 1.0) | dict(task_weights or {})
        if wrong := {name for name, weight in self.task_weights.items() if name not in TASKS or weight < 0}:
            raise ValueError(f"`task_weights`: need weights >= 0 of {', '.join(TASKS)}, got {min(wrong)}")
        truths = {"semantics", "edges"} & {*options.tasks, self.structured.needs}
        self.requires = frozenset(truths)  # type: ignore[misc]  # of a configuration, not of the class
        self.semantic_loss = SemanticCrossEntropy()
        self.edge_loss = edge_loss or BalancedBCELoss()
        self.learned = LearnedTaskWeights(options.tasks) if learned_weights else None
        self.known_classes = options.num_classes
        self.network = MTINetwork(create_backbone(backbone, pretrained=pretrained), options)

    @property
    def structured(self) -> StructuredDepthLoss:
        """Return the depth loss by its own type."""
        return cast(StructuredDepthLoss, self.depth_loss)

    def check_data(self, data: DepthData, *, training: bool = False) -> None:
        """Check that depth is a task, and that the data provide what the tasks read and no more classes than outputs.

        Raises:
            ValueError: if not, naming the option to set.
        """
        options = self.options
        if "depth" not in options.tasks:
            raise ValueError(f"`tasks` {list(options.tasks)} have no depth, which everything is about here")
        super().check_data(data, training=training)
        if "semantics" in options.tasks and data.classes > options.num_classes:
            raise ValueError(
                f"`{data.name}` has {data.classes} classes and the network {options.num_classes} outputs; set "
                "`model.init_args.num_classes` to as many, or `data.init_args.classes` to fewer"
            )
        self.known_classes = data.classes

    def forward(self, batch: Batch) -> MTINetPrediction:
        """Predict every task from ``image``, and in training the initial predictions of every scale."""
        image = batch["image"]
        output = self.network(image)
        logits = output.semantics
        return MTINetPrediction(
            depth=output.depth,
            semantics=None if logits is None else logits[:, : self.known_classes],
            edges=output.edges,
            class_logits=logits,
            initial=output.initial if self.training else {},
        )

    def losses(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Return weighted terms by name: the structured depth loss's, each other task's, and initial predictions'.

        With ``learned_weights`` there is also ``weights``, which keeps those from vanishing.
        """
        prediction = cast(MTINetPrediction, prediction)
        terms: dict[str, Tensor] = {}
        for task in self.options.tasks:
            own = self.task_terms(task, self._final(prediction)[task], batch)
            if initial := prediction.initial.get(task):
                own[f"{task}_initial"] = self.options.deep_supervision * sum(
                    (self._initial_loss(task, map_, batch) for map_ in initial), start=initial[0].new_zeros(())
                )
            factor = self.task_weights[task] * (1.0 if self.learned is None else self.learned.weight(task))
            terms |= {name: factor * term for name, term in own.items()}
        return terms if self.learned is None else terms | {"weights": self.learned.penalty()}

    def validation_losses(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Return the unweighted loss of each task's final prediction; the paper selects checkpoints by ``depth``."""
        final = self._final(cast(MTINetPrediction, prediction))
        return {task: sum_of(self.task_terms(task, final[task], batch)) for task in self.options.tasks}

    def task_terms(self, task: str, predicted: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return unweighted loss terms of one task, by name.

        Args:
            task: ``depth``, ``semantics`` or ``edges``.
            predicted: (B, channels, H, W) metres or logits, of the size of the truth.
            batch: with the truth of the task.
        """
        if task == "semantics":
            return {task: self.semantic_loss(predicted, batch["semantics"])}
        if task == "edges":
            return {task: self.edge_loss(predicted, batch["edges"])}
        terms = self.structured.terms(predicted, batch["depth"], batch["valid"], self._guide(batch))
        return {f"depth_{name}": term for name, term in terms.items()}

    def _guide(self, batch: Batch) -> Tensor | None:
        """Return what the edge-aware term reads: edges, or the image, up to a constant, in the range of [0, 1]."""
        if self.structured.needs == "image":
            std = batch["image"].new_tensor(self.network.backbone.std)
            return batch["image"] * std.view(3, 1, 1)
        needs = self.structured.needs
        return batch[needs] if needs else None  # type: ignore[literal-required]

    def _initial_loss(self, task: str, predicted: Tensor, batch: Batch) -> Tensor:
        size = batch["depth"].shape[-2:]
        enlarged = nn.functional.interpolate(predicted, size, mode="bilinear")
        return sum_of(self.task_terms(task, enlarged, batch))

    @staticmethod
    def _final(prediction: MTINetPrediction) -> dict[str, Any]:
        return {"depth": prediction.depth, "semantics": prediction.class_logits, "edges": prediction.edges}


def sum_of(terms: Mapping[str, Tensor]) -> Tensor:
    """Return the sum of scalars."""
    first, *others = terms.values()
    return sum(others, start=first)
