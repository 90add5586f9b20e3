"""Guided MTI-Net: segmentation and edges, learned beside depth, guide it by attention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor, nn

from lightning_modules.backbones import create_backbone
from lightning_modules.batch import Batch
from lightning_modules.data import DepthData
from lightning_modules.depth_module import DepthModule
from lightning_modules.losses import BalancedBCELoss, LearnedTaskWeights, SemanticCrossEntropy, StructuredDepthLoss
from lightning_modules.networks.depth_head import DepthParametrisation
from lightning_modules.networks.mti_net import MTINetwork
from lightning_modules.networks.mti_net.network import TASKS, EdgeGuide, Guide, Task
from lightning_modules.prediction import Prediction


@dataclass
class MTINetPrediction(Prediction):
    """A prediction, and what only the losses read.

    Attributes:
        class_logits: (B, num_classes, H, W), of which ``semantics`` are the classes that the data know.
        initial: task to its initial predictions (B, channels, h, w), fine to coarse; in training only.
    """

    class_logits: Tensor | None = None
    initial: dict[str, list[Tensor]] = field(default_factory=dict)


class GuidedMTINet(DepthModule):
    """Depth, segmentation and edges of one network, in which the other two guide depth.

    Yigit, "Beneath the Surface: Enhancing Scene Perception through Unified Semantic Segmentation and Depth Estimation",
    2024. The paper leaves most figures open; ``docs/methods/mti_net.md`` says which reading is the default and why.

    Args:
        backbone: name in the registry; the paper has a ResNet-50 with torchvision's weights.
        pretrained: load its weights.
        tasks: of ``depth``, ``semantics``, ``edges``; without depth only the network's cost can be told.
        num_classes: channels of ``semantics``, ids 1 to that. The paper prints 256 outputs for data of 40 classes;
            channels beyond the data's classes are trained to be never right, and left out of what is evaluated.
        guidance: see :class:`~lightning_modules.networks.mti_net.MTINetwork`.
        propagation: likewise.
        distillation: likewise.
        widths: likewise.
        width: likewise.
        attention_stride: likewise.
        attention_dim: likewise.
        attention_heads: likewise.
        key_pool: likewise.
        detach_guidance: likewise.
        edge_guide: likewise.
        max_depth: likewise.
        depth_param: likewise.
        depth_loss: the structured depth loss.
        edge_loss: of ``edges``.
        task_weights: of the tasks' losses; tasks that are not named have 1.
        learned_weights: multiply these by weights that are learned, see
            :class:`~lightning_modules.losses.LearnedTaskWeights`.
        deep_supervision: weight of the same losses of the initial predictions, summed over scales, as in MTI-Net; 0
            makes no initial predictions.
        kwargs: see :class:`DepthModule`.

    Raises:
        ValueError: if a weight is negative or of an unknown task, or as the network raises.
    """

    def __init__(
        self,
        *,
        backbone: str = "resnet50.tv_in1k",
        pretrained: bool = True,
        tasks: Sequence[Task] = TASKS,
        num_classes: int = 40,
        guidance: Sequence[Guide] = ("semantics", "edges"),
        propagation: bool = True,
        distillation: bool = True,
        widths: Sequence[int] = (32, 64, 128, 256),
        width: int = 256,
        attention_stride: int = 8,
        attention_dim: int = 64,
        attention_heads: int = 1,
        key_pool: int = 1,
        detach_guidance: bool = False,
        edge_guide: EdgeGuide = "features",
        max_depth: float = 10.0,
        depth_param: DepthParametrisation = "sigmoid_max",
        depth_loss: StructuredDepthLoss | None = None,
        edge_loss: BalancedBCELoss | None = None,
        task_weights: Mapping[str, float] | None = None,
        learned_weights: bool = False,
        deep_supervision: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(depth_loss=depth_loss or StructuredDepthLoss(), **kwargs)
        self.tasks = tuple(tasks)
        self.task_weights = dict.fromkeys(tasks, 1.0) | dict(task_weights or {})
        if wrong := {name for name, weight in self.task_weights.items() if name not in TASKS or weight < 0}:
            raise ValueError(f"`task_weights`: need weights >= 0 of {', '.join(TASKS)}, got {min(wrong)}")
        if deep_supervision < 0:
            raise ValueError(f"`deep_supervision` must not be negative, got {deep_supervision}")
        self.deep_supervision = deep_supervision
        truths = {"semantics", "edges"} & {*tasks, self.structured.needs}
        self.requires = frozenset(truths)  # type: ignore[misc]  # of a configuration, not of the class
        self.semantic_loss = SemanticCrossEntropy()
        self.edge_loss = edge_loss or BalancedBCELoss()
        self.learned = LearnedTaskWeights(self.tasks) if learned_weights else None
        self.num_classes = self.known_classes = num_classes
        self.network = MTINetwork(
            create_backbone(backbone, pretrained=pretrained),
            tasks=self.tasks,
            classes=num_classes,
            guidance=guidance,
            widths=widths,
            width=width,
            propagation=propagation,
            distillation=distillation,
            initial_predictions=deep_supervision > 0,
            attention_stride=attention_stride,
            attention_dim=attention_dim,
            attention_heads=attention_heads,
            key_pool=key_pool,
            detach_guidance=detach_guidance,
            edge_guide=edge_guide,
            max_depth=max_depth,
            depth_param=depth_param,
        )

    @property
    def structured(self) -> StructuredDepthLoss:
        """The depth loss."""
        return cast(StructuredDepthLoss, self.depth_loss)

    def check_data(self, data: DepthData, *, training: bool = False) -> None:
        """Check that depth is a task, that the data provide what the tasks are trained on, and no class without output.

        Raises:
            ValueError: if not, by name.
        """
        if "depth" not in self.tasks:
            raise ValueError(f"`tasks` {list(self.tasks)} have no depth, which everything is about here")
        super().check_data(data, training=training)
        if "semantics" in self.tasks and data.classes > self.num_classes:
            raise ValueError(
                f"`{data.name}` has {data.classes} classes and the network {self.num_classes} outputs; set "
                "`model.init_args.num_classes` to as many, or `data.init_args.classes` to fewer"
            )
        self.known_classes = data.classes

    def forward(self, batch: Batch) -> MTINetPrediction:
        """Predict from ``image``."""
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
        """Terms of the structured depth loss, of each other task, of initial predictions, and of learned weights."""
        prediction = cast(MTINetPrediction, prediction)
        terms: dict[str, Tensor] = {}
        for task in self.tasks:
            own = self.task_terms(task, self._final(prediction)[task], batch)
            if initial := prediction.initial.get(task):
                own[f"{task}_initial"] = self.deep_supervision * sum(
                    (self._initial_loss(task, map_, batch) for map_ in initial), start=initial[0].new_zeros(())
                )
            factor = self.task_weights[task] * (1.0 if self.learned is None else self.learned.weight(task))
            terms |= {name: factor * term for name, term in own.items()}
        return terms if self.learned is None else terms | {"weights": self.learned.penalty()}

    def validation_losses(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """The loss of each task's final prediction, unweighted; ``depth`` is the one that the paper selects by."""
        final = self._final(cast(MTINetPrediction, prediction))
        return {task: sum_of(self.task_terms(task, final[task], batch)) for task in self.tasks}

    def task_terms(self, task: str, predicted: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Unweighted loss terms of one task, by name, of a prediction at the truth's size."""
        if task == "semantics":
            return {task: self.semantic_loss(predicted, batch["semantics"])}
        if task == "edges":
            return {task: self.edge_loss(predicted, batch["edges"])}
        terms = self.structured.terms(predicted, batch["depth"], batch["valid"], self._guide(batch))
        return {f"depth_{name}": term for name, term in terms.items()}

    def _guide(self, batch: Batch) -> Tensor | None:
        """What the edge-aware term is told: edges, or the image in [0, 1] (of which only differences matter)."""
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
    """Sum of scalars."""
    first, *others = terms.values()
    return sum(others, start=first)
