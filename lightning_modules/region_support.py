"""Region Support Network: regions of stable depth as guidance, refined in iterations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lightning.pytorch.utilities.rank_zero import rank_zero_info
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.backbones import Pretrained
from lightning_modules.backbones.initial_weights import are_left_out
from lightning_modules.batch import Batch
from lightning_modules.losses import IterationLoss, PixelLoss, RegionLoss
from lightning_modules.losses.region_loss import RegionForm, Space, UnlabeledRule
from lightning_modules.networks.depth_head import DepthParametrisation
from lightning_modules.networks.region_support import GenerationModule, RefinementModule, take_resnet34_weights
from lightning_modules.networks.region_support.generation import GenerationBackbone
from lightning_modules.networks.region_support.pyramid import PyramidReference
from lightning_modules.networks.region_support.refinement import RefinementExtractor
from lightning_modules.prediction import Prediction
from lightning_modules.stages import Stage, StagedModule, resolve_stages

Guidance = Literal["none", "truth", "generated", "semantic", "truth_as_depth"]

#: Modules that each guidance uses.
PARTS: dict[Guidance, frozenset[str]] = {
    "none": frozenset({"generation"}),
    "truth": frozenset({"refinement"}),
    "generated": frozenset({"generation", "refinement"}),
    "semantic": frozenset({"generation", "refinement"}),
    "truth_as_depth": frozenset(),
}

#: Terms of the loss, each between a prediction and its truth.
TERMS = ("support", "coarse", "depth")


def truth_read_by(guidance: Guidance) -> str:
    """Return what a guidance reads of the truth, in tests too: the truth's region support, semantics or nothing."""
    if "generation" not in PARTS[guidance]:
        return "region support"
    return "semantics" if guidance == "semantic" else ""


@dataclass(frozen=True)
class RegionSupportStage(Stage):
    """A stage of the Region Support Network.

    Attributes:
        guidance: what the refinement module reads beside the image, and the depth that it starts from. ``truth``: both
            are the truth's region support; ``generated``: both are the output of the generation module; ``semantic``:
            it reads the labels, and starts from the output of the generation module. Nothing is refined with ``none``,
            where the generation module's output is the prediction, and with ``truth_as_depth``, where the truth's
            region support is the prediction, on pixels of regions only. Pixels without a region are 0 m to the
            refinement; its depth there counts in metrics and in L_2.
        terms: weights of the loss's terms: ``support``, output of the generation module against the truth's region
            support; ``coarse``, that output against depth; ``depth``, the refinement's iterations against depth, L_i of
            equation 3.
            Equation 4, L_c, is ``{support: 0.3, depth: 0.7}``.
        loss: ``region``, L_r of equation 2, or ``l2``, of equation 1.
        space: in which either loss compares, ``log`` (natural logarithm of metres) or ``linear`` (metres).

    Raises:
        ValueError: if terms and guidance do not fit.
    """

    guidance: Guidance = "none"
    terms: Mapping[str, float] = field(default_factory=dict)
    loss: Literal["region", "l2"] = "region"
    space: Space = "log"

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := set(self.terms) - set(TERMS):
            raise ValueError(f"stage `{self.name}`: no term `{min(unknown)}` of the loss; terms: {', '.join(TERMS)}")
        if self.epochs and not self.terms:
            raise ValueError(f"stage `{self.name}`: {self.epochs} epochs, but `terms` of the loss are not set")
        if idle := set(self.trains) - self.parts:
            raise ValueError(
                f"stage `{self.name}`: `guidance: {self.guidance}` leaves {min(idle)} nothing to train for"
            )
        if "depth" in self.terms and "refinement" not in self.parts:
            raise ValueError(f"stage `{self.name}`: `guidance: {self.guidance}` refines nothing that `depth` judges")
        if "generation" not in self.parts and {"support", "coarse"} & set(self.terms):
            raise ValueError(f"stage `{self.name}`: `guidance: {self.guidance}` generates nothing that a term judges")

    @property
    def parts(self) -> frozenset[str]:
        """Return modules that this stage uses."""
        return PARTS[self.guidance]

    @property
    def begins_with_truth(self) -> bool:
        """Return whether the truth's region support takes the place of the generation module's output."""
        return "generation" not in self.parts

    @property
    def oracle(self) -> str:
        """Return what is read of the truth, in tests too if this is the last stage; empty for nothing."""
        return truth_read_by(self.guidance)

    @property
    def requires(self) -> set[str]:
        """Return keys of a sample that this stage reads besides those of every method."""
        required = {"regions"} if self.epochs and self.loss == "region" else set()
        if self.begins_with_truth or "support" in self.terms:
            required.add("region_support")
        return required | ({"semantics"} if self.guidance == "semantic" else set())


class RegionSupportNetwork(StagedModule[RegionSupportStage]):
    """Region support and depth that it refines, in stages ("Region-Support Depth Inference from a Single Image").

    Its stages make it any row of the paper's tables. Where the paper leaves a choice, the first value named is the
    default.

    Args:
        stages: what is trained when; the last one is what is tested.
        stage_epochs: epochs of stages that are to last longer or shorter, by name.
        stage_from: run folders that have the result of stages which are then not trained here, by name of the stage.
        pretrained: begin the generation module from ResNet-34's weights where shapes agree, timm's or others,
            see :mod:`lightning_modules.backbones.initial_weights`.
        width_mult: factor on all channels of both modules; 1 is Table 1.
        generation_backbone: ``table1``, the widths of Table 1, or ``resnet34_dilated``, those of ResNet-34.
        refinement_channels: 5, or 4: without the guidance (Table 1).
        refinement_extractor: rows 2-4 of the refinement are ``plain`` convolutions, or ``residual`` units (Table 1).
        iterations: how often the refinement is run.
        iteration_weights: weights of the iterations' losses, the first to the last (equation 3).
        detach_between: let no gradient flow from an iteration into the one before.
        pyramid_ref: what the pyramid's scales refer to, the ``image`` or the ``feature`` map.
        region_form: error of a region in the region loss: mean absolute (``l1``), mean squared (``l2``), or absolute
            mean error (``abs_mean``).
        unlabeled: in the region loss pixels without a region are left out (``ignore``), or are ``one_region``.
        classes: number of semantic classes, by which ids are divided where labels are the guidance.
        depth_param: how the output becomes metres, see :func:`lightning_modules.networks.depth_head.to_depth`.
        max_depth: metres, upper bound of ``depth_param: sigmoid_max``.
        checkpointing: compute inner maps again in the backward pass, for less memory.
        kwargs: see :class:`DepthModule`; ``depth_loss`` is not used.

    Raises:
        ValueError: if options contradict each other.
    """

    learns_by_depth_loss = False  # each stage has losses of its own, in metres

    def __init__(
        self,
        *,
        stages: Sequence[RegionSupportStage],
        stage_epochs: dict[str, int] | None = None,
        stage_from: dict[str, str] | None = None,
        pretrained: Pretrained = True,
        width_mult: float = 1.0,
        generation_backbone: GenerationBackbone = "table1",
        refinement_channels: Literal[5, 4] = 5,
        refinement_extractor: RefinementExtractor = "plain",
        iterations: int = 3,
        iteration_weights: tuple[float, ...] = (0.2, 0.3, 0.5),
        detach_between: bool = False,
        pyramid_ref: PyramidReference = "image",
        region_form: RegionForm = "l1",
        unlabeled: UnlabeledRule = "ignore",
        classes: int = 894,
        depth_param: DepthParametrisation = "softplus",
        max_depth: float = 10.0,
        checkpointing: bool = False,
        **kwargs: Any,
    ):
        super().__init__(stages=resolve_stages(stages, stage_epochs or {}, stage_from or {}), **kwargs)
        if len(iteration_weights) != iterations:
            raise ValueError(
                f"{iterations} `iterations` need as many `iteration_weights`, got {len(iteration_weights)}"
            )
        if refinement_channels == 4 and any(stage.guidance == "semantic" for stage in self.stages):
            raise ValueError("`refinement_channels: 4` has no channel for `guidance: semantic`; set 5")
        self.classes = classes
        common: dict[str, Any] = {
            "width_mult": width_mult,
            "pyramid_ref": pyramid_ref,
            "depth_param": depth_param,
            "max_depth": max_depth,
            "checkpointing": checkpointing,
        }
        self.network = nn.ModuleDict()
        parts = set().union(*(stage.parts for stage in self.stages))
        if "generation" in parts:
            self.network["generation"] = GenerationModule(backbone=generation_backbone, **common)
            if pretrained and not are_left_out():
                self._take_resnet34(pretrained)
        if "refinement" in parts:
            self.network["refinement"] = RefinementModule(
                iterations=iterations,
                in_channels=refinement_channels,
                extractor=refinement_extractor,
                detach_between=detach_between,
                **common,
            )
        self.check_stages()
        self.region_options: dict[str, Any] = {"form": region_form, "unlabeled": unlabeled}
        self.iteration_weights = iteration_weights
        self.oracle = self.stages[-1].oracle

    @classmethod
    def oracle_of(cls, arguments: Mapping[str, Any]) -> str:
        """Return what the last stage, which is tested, reads of the truth (section 4.2)."""
        return truth_read_by(arguments["stages"][-1].get("guidance", RegionSupportStage.guidance))

    @property
    def oracle_in_use(self) -> str:
        """Return what of the truth the present stage reads; ``oracle`` is that of the last, which is tested."""
        return self.stage.oracle

    @property
    def requires(self) -> frozenset[str]:  # type: ignore[override]  # it depends on the stages
        """Return keys of a sample that any stage reads besides those of every method."""
        return frozenset().union(*(stage.requires for stage in self.stages))

    @property
    def normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return RGB mean and standard deviation of ImageNet, which ResNet-34's weights were trained with."""
        return IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

    def forward(self, batch: Batch) -> Prediction:
        """Predict as the present stage does.

        Returns:
            Prediction with the depth; ``aux`` holds the depth that the refinement started from, then its iterations but
            the last.
        """
        image, stage = batch["image"], self.stage
        if stage.begins_with_truth:
            coarse = to_grid(batch["region_support"], image)
            if stage.guidance == "truth_as_depth":
                return Prediction(depth=coarse, covered=coarse > 0)
        else:
            coarse = self.network["generation"](image)
        if "refinement" not in stage.parts:
            return Prediction(depth=coarse)
        given = self._semantic_guidance(batch) if stage.guidance == "semantic" else coarse
        depths = self.network["refinement"](image, given, coarse)
        return Prediction(depth=depths[-1], aux=[coarse, *depths[:-1]])

    def losses(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted loss terms of the present stage, by name."""
        stage = self.stage
        by_region = stage.loss == "region"
        loss = RegionLoss(space=stage.space, **self.region_options) if by_region else PixelLoss(stage.space)
        valid = batch["valid"]
        regions = batch["regions"] if "regions" in stage.requires else valid[:, 0].long()
        values: dict[str, Tensor] = {}
        generated = prediction.aux[0] if "refinement" in stage.parts else prediction.depth
        for term, weight in stage.terms.items():
            if term == "depth":
                iterations = [*prediction.aux[1:], prediction.depth]
                value = IterationLoss(loss, self.iteration_weights)(iterations, batch["depth"], regions, valid)
            elif term == "support":
                labelled = valid & (batch["region_support"] > 0)
                value = loss(generated, batch["region_support"], regions, labelled)
            else:
                value = loss(generated, batch["depth"], regions, valid)
            values[term] = weight * value
        return values

    def _semantic_guidance(self, batch: Batch) -> Tensor:
        """Return semantic ids divided by the number of classes, (B, 1, H, W); 0 where unlabelled.

        Values may exceed 1: class names that only NYU Depth v1 has are numbered from 895, after the 894 of v2.
        """
        return to_grid(batch["semantics"][:, None].float() / self.classes, batch["image"])

    def _take_resnet34(self, pretrained: Pretrained) -> None:
        loaded, left = take_resnet34_weights(self.network["generation"].features, pretrained=pretrained)
        layers = ", ".join(sorted({name.rpartition(".")[0] for name in left})) or "no layer"
        rank_zero_info(f"ResNet-34: {len(loaded)} tensors fit; random weights stay in {layers}")


def to_grid(map_: Tensor, image: Tensor) -> Tensor:
    """Resize a map (B, 1, h, w) to the image's size by the nearest pixel: in evaluation truth keeps its native size."""
    size = image.shape[-2:]
    return map_ if map_.shape[-2:] == size else F.interpolate(map_, size, mode="nearest-exact")
