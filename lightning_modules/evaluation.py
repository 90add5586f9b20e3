"""All figures of one test set: each metric for which the data have the truth and the method a prediction."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, cast

import torch
from torch import Tensor, nn

from lightning_modules.batch import Batch
from lightning_modules.metrics import (
    BorderErrors,
    BoundaryError,
    BoundaryProtocol,
    Coverage,
    DepthBoundaryF1,
    DepthErrors,
    DepthErrorsInUnits,
    EdgeDetection,
    EvalProtocol,
    ImageClasses,
    LayoutFlatness,
    LayoutRetrieval,
    ObjectRoughness,
    ObjectwiseErrors,
    PlanarityErrors,
    PointCloudChamfer,
    RangeErrors,
    RegionErrors,
    ScaleCheck,
    SegmentationAccuracy,
    SegmentQuality,
    ThinErrors,
)
from lightning_modules.metrics.depth_errors import THRESHOLDS
from lightning_modules.metrics.exact_sums import SuiteMetric
from lightning_modules.metrics.layout_flatness import CLASSES
from lightning_modules.metrics.objectwise import ObjectAveraging
from lightning_modules.metrics.range_errors import EDGES
from lightning_modules.metrics.segmentation_accuracy import AbsentClasses
from lightning_modules.prediction import Prediction


@dataclass(frozen=True)
class EvaluationOptions:
    """What is measured in `test`, beyond the protocol; the metrics' own docstrings explain the arguments.

    Attributes:
        groups: names of the groups of figures to measure, of :data:`GROUPS`; None measures all that the data allow.
        delta_thresholds: of ``delta1``, ``delta2``, ...
        unit: metres that are 1, of further figures in such units and in metres, whatever the protocol's unit is; None
            for none.
        boundary: how depth edges are found and compared with annotated ones.
        object_averaging: over what object-wise figures are averaged.
        object_min_pixels: objects with fewer valid pixels are left out.
        cloud_stride: of point clouds, every how many rows and columns a pixel is taken. 1, all pixels, costs about
            as much as a forward pass on a CPU.
        cloud_squared: mean squared distances between point clouds.
        cloud_thresholds: metres, of the F-scores.
        plane_min_area: share of the image that a plane must cover.
        recall_at: the K of Recall@K.
        recall_frame_window: frames around the query that count as the same view.
        segment_tolerance: pixels, of the segments' boundary recall.
        absent_classes: of the mean IoU, ``skip`` them or count them as ``zero``.
        edge_threshold: probability from which a pixel is predicted to be an edge.
        edge_levels: thresholds that ODS and OIS choose from.
        range_edges: metres, of the ranges of true depth that errors are given for.
        border_distance: pixels of the truth's grid within which a pixel is near a border of the labels.
        thin_radius: share of the frame's diagonal; what a disc of this radius does not fit into is thin.
        layout_min_area: share of the frame that a wall, floor or ceiling must cover.
        layout_max_rms: metres by which its truth may depart from a plane, root mean square.
        smoothness_step: pixels between those that roughness within objects compares.
        smoothness_margin: pixels from the border of an object that roughness leaves out.

    Raises:
        ValueError: if a group is unknown.
    """

    groups: tuple[str, ...] | None = None
    delta_thresholds: tuple[float, ...] = THRESHOLDS
    unit: float | None = None
    boundary: BoundaryProtocol = field(default_factory=BoundaryProtocol)
    object_averaging: ObjectAveraging = "per_object"
    object_min_pixels: int = 1
    cloud_stride: int = 4
    cloud_squared: bool = False
    cloud_thresholds: tuple[float, ...] = (0.05, 0.10)
    plane_min_area: float = 0.05
    recall_at: tuple[int, ...] = (1, 5, 10)
    recall_frame_window: int = 5
    segment_tolerance: int = 2
    absent_classes: AbsentClasses = "skip"
    edge_threshold: float = 0.5
    edge_levels: int = 9
    range_edges: tuple[float, ...] = EDGES
    border_distance: float = 5.0
    thin_radius: float = 0.01
    layout_min_area: float = 0.02
    layout_max_rms: float = 0.05
    smoothness_step: int = 4
    smoothness_margin: int = 8

    def __post_init__(self) -> None:
        if unknown := set(self.groups or ()) - set(GROUPS):
            near = get_close_matches(min(unknown), GROUPS, n=1)
            meant = f"did you mean `{near[0]}`? " if near else ""
            raise ValueError(f"`evaluation.groups`: no group `{min(unknown)}`; {meant}groups: {', '.join(GROUPS)}")

    def restricted(self, groups: Sequence[str] | None) -> "EvaluationOptions":
        """The same, of those groups that are among ``groups`` too; None for all.

        Raises:
            ValueError: if one is unknown.
        """
        if groups is None:
            return self
        both = tuple(name for name in groups if self.groups is None or name not in GROUPS or name in self.groups)
        return replace(self, groups=both)


Arguments = Callable[[EvalProtocol, Prediction, Batch], tuple[Any, ...]]


def depth_and(*keys: str) -> Arguments:
    """Predicted depth, true depth, valid pixels, and further keys of the batch."""
    return lambda _, prediction, batch: (prediction.depth, *(batch[key] for key in ("depth", "valid", *keys)))  # type: ignore[literal-required]


_DEPTH = depth_and()


@dataclass(frozen=True)
class Group:
    """Figures that are measured together.

    Attributes:
        build: the metric, from protocol, options and number of classes.
        truth: keys of a sample that it reads, besides those that every sample has.
        predicted: field of a :class:`Prediction` that it reads.
        arguments: what ``update`` takes.
        wanted: whether the options ask for it, given the number of classes.
    """

    build: Callable[[EvalProtocol, EvaluationOptions, int], SuiteMetric]
    truth: frozenset[str] = frozenset()
    predicted: str = "depth"
    arguments: Arguments = _DEPTH
    wanted: Callable[[EvaluationOptions, int], bool] = lambda *_: True


def _build_boundary(protocol: EvalProtocol, options: EvaluationOptions, classes: int) -> SuiteMetric:
    boundary = options.boundary
    return BoundaryError(replace(boundary, crop=protocol.crop) if boundary.crop is None else boundary)


def _build_cloud(protocol: EvalProtocol, options: EvaluationOptions, classes: int) -> SuiteMetric:
    return PointCloudChamfer(protocol, options.cloud_thresholds, options.cloud_stride, options.cloud_squared)


def _boundary_arguments(protocol: EvalProtocol, prediction: Prediction, batch: Batch) -> tuple[Any, ...]:
    """Aligned and clamped: boundaries are looked for in the very map that the other figures are about."""
    prepared, _, _ = protocol.prepare(cast(Tensor, prediction.depth), batch["depth"], batch["valid"])
    return prepared, batch["occlusion"]


#: All groups of figures, by name, in the order of tables.
GROUPS: dict[str, Group] = {
    "depth": Group(lambda protocol, options, _: DepthErrors(protocol, options.delta_thresholds)),
    "unit": Group(
        lambda protocol, options, _: DepthErrorsInUnits(protocol, options.unit or 1.0),
        wanted=lambda options, _: options.unit is not None,
    ),
    "object": Group(
        lambda protocol, options, _: ObjectwiseErrors(protocol, options.object_averaging, options.object_min_pixels),
        truth=frozenset({"instances"}),
        arguments=depth_and("instances"),
    ),
    "boundary": Group(_build_boundary, truth=frozenset({"occlusion"}), arguments=_boundary_arguments),
    "depth_boundary": Group(lambda protocol, *_: DepthBoundaryF1(protocol)),
    "cloud": Group(_build_cloud, arguments=depth_and("intrinsics")),
    "plane": Group(
        lambda protocol, options, _: PlanarityErrors(protocol, options.plane_min_area),
        truth=frozenset({"planes", "plane_parameters"}),
        arguments=depth_and("planes", "plane_parameters", "intrinsics"),
    ),
    "segment": Group(
        lambda protocol, options, _: SegmentQuality(options.segment_tolerance),
        truth=frozenset({"instances"}),
        predicted="segments",
        arguments=lambda _, prediction, batch: (
            prediction.segments,
            *(batch[key] for key in ("instances", "depth", "valid")),
        ),
    ),
    "semantic": Group(
        lambda protocol, options, classes: SegmentationAccuracy(classes, options.absent_classes),
        truth=frozenset({"semantics"}),
        predicted="semantics",
        arguments=lambda _, prediction, batch: (prediction.semantics, batch["semantics"]),
    ),
    "image_class": Group(
        lambda protocol, options, classes: ImageClasses(classes),
        truth=frozenset({"semantics"}),
        predicted="image_classes",
        arguments=lambda _, prediction, batch: (prediction.image_classes, batch["semantics"]),
    ),
    "edge": Group(
        lambda protocol, options, _: EdgeDetection(options.edge_threshold, options.edge_levels),
        truth=frozenset({"edges"}),
        predicted="edges",
        arguments=lambda _, prediction, batch: (prediction.edges, batch["edges"]),
    ),
    "region": Group(
        lambda protocol, *_: RegionErrors(protocol), truth=frozenset({"regions"}), arguments=depth_and("regions")
    ),
    "range": Group(lambda protocol, options, _: RangeErrors(protocol, options.range_edges)),
    "label_border": Group(
        lambda protocol, options, _: BorderErrors(protocol, options.border_distance),
        truth=frozenset({"semantics"}),
        arguments=depth_and("semantics"),
    ),
    "thin": Group(
        lambda protocol, options, _: ThinErrors(protocol, options.thin_radius),
        truth=frozenset({"semantics"}),
        arguments=depth_and("semantics"),
    ),
    "layout": Group(
        lambda protocol, options, _: LayoutFlatness(protocol, options.layout_min_area, options.layout_max_rms),
        truth=frozenset({"semantics"}),
        arguments=depth_and("semantics", "intrinsics"),
        wanted=lambda _, classes: classes == CLASSES,
    ),
    "smoothness": Group(
        lambda protocol, options, _: ObjectRoughness(protocol, options.smoothness_step, options.smoothness_margin),
        truth=frozenset({"instances"}),
        arguments=depth_and("instances"),
    ),
    "coverage": Group(
        lambda *_: Coverage(),
        predicted="covered",
        arguments=lambda _, prediction, batch: (prediction.covered_at(batch["valid"].shape[-2:]), batch["valid"]),
    ),
    "retrieval": Group(
        lambda protocol, options, _: LayoutRetrieval(options.recall_at, options.recall_frame_window),
        predicted="embedding",
        arguments=lambda _, prediction, batch: (prediction.embedding, batch["scene"], batch["frame"]),
    ),
}


class Evaluation(nn.Module):
    """The metrics of one test set, one a group; what is measured depends on the data, then on the method.

    Args:
        protocol: how predictions are compared with the truth.
        options: what is measured, and how.
        provides: keys of a sample that the data provide.
        classes: of the data's ``semantics``.

    Attributes:
        remarks: what is suspicious about the predictions that :meth:`compute` was last about, one line each.
    """

    def __init__(
        self,
        protocol: EvalProtocol,
        options: EvaluationOptions | None = None,
        provides: frozenset[str] = frozenset(),
        classes: int = 40,
    ):
        super().__init__()
        options = options or EvaluationOptions()
        self.protocol = protocol
        self.remarks: list[str] = []
        self.scale_check = ScaleCheck(protocol)
        self.metrics = nn.ModuleDict(
            {
                name: group.build(protocol, options, classes)
                for name, group in GROUPS.items()
                if group.truth <= provides
                and group.wanted(options, classes)
                and (options.groups is None or name in options.groups)
            }
        )

    @torch.no_grad()
    def update(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Add a batch; pixels that the prediction does not cover count as pixels without truth.

        Returns:
            Figures of each image, name to (B,), NaN where an image has none.
        """
        per_image: dict[str, Tensor] = {}
        covered = prediction.covered_at(batch["valid"].shape[-2:])
        judged = batch if covered is None else {**batch, "valid": batch["valid"] & covered}
        if prediction.depth is not None:
            self.scale_check.update(prediction.depth, judged["depth"], judged["valid"])
        for name, metric in self._named():
            group = GROUPS[name]
            predicted = getattr(prediction, group.predicted)
            if predicted is not None and len(predicted):  # a method without segments has an empty list of them
                seen = batch if group.predicted == "covered" else judged
                metric.update(*group.arguments(self.protocol, prediction, seen))
                per_image |= metric.per_image
        return per_image

    def compute(self) -> dict[str, Tensor]:
        """All figures, scalars, over all processes; counts of what was left out are named after their group."""
        figures: dict[str, Tensor] = {}
        for name, metric in self._named():
            if metric.update_called:
                prefix = "" if name == "depth" else f"{name}_"
                for key, value in metric.compute().items():
                    counts = key.startswith(("excluded", "nonfinite"))
                    figures[f"{prefix}{key}" if counts else key] = value
        if self.scale_check.update_called:
            figures |= self.scale_check.compute()
            with self.scale_check.sync_context():
                self.remarks = self.scale_check.remarks()
        return figures

    def reset(self) -> None:
        """Forget all batches."""
        for _, metric in self._named():
            metric.reset()
        self.scale_check.reset()

    def _named(self) -> Iterator[tuple[str, SuiteMetric]]:
        return ((name, cast(SuiteMetric, metric)) for name, metric in self.metrics.items())
