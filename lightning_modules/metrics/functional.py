"""Each metric as a function of one batch, for use without a loop over batches; see the classes for what is measured.

All return a dict of scalars by key, counts of what is left out included, and take the options of their class by name.
Where a function takes depth, that is ``prediction``, (B, 1, h, w) in metres at any size and floating dtype, ``target``,
(B, 1, H, W) true depth in metres, and ``valid``, (B, 1, H, W) bool, true where the truth is measured.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lightning_modules.metrics.boundary import BoundaryError
from lightning_modules.metrics.boundary_protocol import BoundaryProtocol
from lightning_modules.metrics.coverage import Coverage
from lightning_modules.metrics.depth_boundary import DepthBoundaryF1
from lightning_modules.metrics.depth_errors import DepthErrors
from lightning_modules.metrics.depth_units import DepthErrorsInUnits
from lightning_modules.metrics.edge_detection import EdgeDetection
from lightning_modules.metrics.exact_sums import SuiteMetric
from lightning_modules.metrics.image_class_scores import ImageClasses
from lightning_modules.metrics.label_errors import BorderErrors, ThinErrors
from lightning_modules.metrics.layout_flatness import LayoutFlatness
from lightning_modules.metrics.objectwise import ObjectwiseErrors
from lightning_modules.metrics.planarity import PlanarityErrors
from lightning_modules.metrics.point_cloud import PointCloudChamfer
from lightning_modules.metrics.protocol import EvalProtocol
from lightning_modules.metrics.range_errors import RangeErrors
from lightning_modules.metrics.region_errors import RegionErrors
from lightning_modules.metrics.retrieval import LayoutRetrieval
from lightning_modules.metrics.segment_quality import SegmentQuality
from lightning_modules.metrics.segmentation_accuracy import SegmentationAccuracy
from lightning_modules.metrics.smoothness import ObjectRoughness
from lightning_modules.metrics.sparsification import Sparsification

Metrics = dict[str, Tensor]


def depth_errors(prediction: Tensor, target: Tensor, valid: Tensor, protocol: EvalProtocol, **options: Any) -> Metrics:
    """Return the per-pixel depth errors of a batch, as :class:`DepthErrors` defines them."""
    return _measure(DepthErrors(protocol, **options), prediction, target, valid)


def depth_errors_in_units(
    prediction: Tensor, target: Tensor, valid: Tensor, protocol: EvalProtocol, unit: float
) -> Metrics:
    """Return depth errors in metres and in units of so many metres, as :class:`DepthErrorsInUnits` defines them."""
    return _measure(DepthErrorsInUnits(protocol, unit), prediction, target, valid)


def range_errors(prediction: Tensor, target: Tensor, valid: Tensor, protocol: EvalProtocol, **options: Any) -> Metrics:
    """Return depth errors by range of true depth, as :class:`RangeErrors` defines them."""
    return _measure(RangeErrors(protocol, **options), prediction, target, valid)


def depth_boundary_f1(
    prediction: Tensor, target: Tensor, valid: Tensor, protocol: EvalProtocol, **options: Any
) -> Metrics:
    """Return precision, recall and F1 of depth-ratio boundaries, as :class:`DepthBoundaryF1` defines them."""
    return _measure(DepthBoundaryF1(protocol, **options), prediction, target, valid)


def objectwise_errors(
    prediction: Tensor, target: Tensor, valid: Tensor, instances: Tensor, protocol: EvalProtocol, **options: Any
) -> Metrics:
    """Return depth errors inside annotated objects (B, H, W), 0 = none, as :class:`ObjectwiseErrors` defines them."""
    return _measure(ObjectwiseErrors(protocol, **options), prediction, target, valid, instances)


def object_roughness(
    prediction: Tensor, target: Tensor, valid: Tensor, instances: Tensor, protocol: EvalProtocol, **options: Any
) -> Metrics:
    """Return the roughness of depth inside objects (B, H, W), 0 = none, as :class:`ObjectRoughness` defines it."""
    return _measure(ObjectRoughness(protocol, **options), prediction, target, valid, instances)


def region_errors(
    prediction: Tensor, target: Tensor, valid: Tensor, regions: Tensor, protocol: EvalProtocol
) -> Metrics:
    """Return errors and variances in regions of stable depth (B, H, W), 0 = none, as :class:`RegionErrors` does."""
    return _measure(RegionErrors(protocol), prediction, target, valid, regions)


def sparsification(
    prediction: Tensor, target: Tensor, valid: Tensor, uncertainty: Tensor, protocol: EvalProtocol, **options: Any
) -> Metrics:
    """Return errors of the pixels with the lowest uncertainty (B, 1, h, w), as :class:`Sparsification` defines them."""
    return _measure(Sparsification(protocol, **options), prediction, target, valid, uncertainty)


def border_errors(
    prediction: Tensor, target: Tensor, valid: Tensor, semantics: Tensor, protocol: EvalProtocol, **options: Any
) -> Metrics:
    """Return depth errors near borders of classes (B, H, W), 0 = unlabelled, as :class:`BorderErrors` defines them."""
    return _measure(BorderErrors(protocol, **options), prediction, target, valid, semantics)


def thin_errors(
    prediction: Tensor, target: Tensor, valid: Tensor, semantics: Tensor, protocol: EvalProtocol, **options: Any
) -> Metrics:
    """Return depth errors on what is thin in classes (B, H, W), 0 = unlabelled, as :class:`ThinErrors` defines them."""
    return _measure(ThinErrors(protocol, **options), prediction, target, valid, semantics)


def layout_flatness(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor,
    semantics: Tensor,
    intrinsics: Tensor,
    protocol: EvalProtocol,
    **options: Any,
) -> Metrics:
    """Return flatness and orientation of walls, floors and ceilings, as :class:`LayoutFlatness` defines them.

    ``semantics`` are NYU40 classes (B, H, W), ``intrinsics`` camera matrices (B, 3, 3) of the truth's grid.
    """
    return _measure(LayoutFlatness(protocol, **options), prediction, target, valid, semantics, intrinsics)


def planarity_errors(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor,
    planes: Tensor,
    plane_parameters: Tensor,
    intrinsics: Tensor,
    protocol: EvalProtocol,
    **options: Any,
) -> Metrics:
    """Return flatness and orientation of annotated planes, as :class:`PlanarityErrors` defines them."""
    truth = planes, plane_parameters, intrinsics
    return _measure(PlanarityErrors(protocol, **options), prediction, target, valid, *truth)


def point_cloud_chamfer(
    prediction: Tensor, target: Tensor, valid: Tensor, intrinsics: Tensor, protocol: EvalProtocol, **options: Any
) -> Metrics:
    """Return distances and F-scores of point clouds by cameras (B, 3, 3), as :class:`PointCloudChamfer` does."""
    return _measure(PointCloudChamfer(protocol, **options), prediction, target, valid, intrinsics)


def boundary_error(
    prediction: Tensor, boundaries: Tensor, valid: Tensor | None = None, protocol: BoundaryProtocol | None = None
) -> Metrics:
    """Return errors of depth edges against annotated ones (B, 1, H, W), as :class:`BoundaryError` defines them.

    The depth is taken as it is: align and clamp it first where that is wanted (:meth:`EvalProtocol.prepare`).
    """
    return _measure(BoundaryError(protocol), prediction, boundaries, valid)


def segment_quality(
    segments: Sequence[Tensor], instances: Tensor, depth: Tensor, valid: Tensor, **options: Any
) -> Metrics:
    """Return the quality of label maps (B, h, w), fine to coarse, as :class:`SegmentQuality` defines it."""
    return _measure(SegmentQuality(**options), segments, instances, depth, valid)


def segmentation_accuracy(logits: Tensor, semantics: Tensor, classes: int = 40, **options: Any) -> Metrics:
    """Return the accuracy of class logits (B, C, h, w), as :class:`SegmentationAccuracy` defines it."""
    return _measure(SegmentationAccuracy(classes, **options), logits, semantics)


def image_class_scores(logits: Tensor, semantics: Tensor, classes: int = 40) -> Metrics:
    """Return the mean average precision of image-level logits (B, C), as :class:`ImageClasses` defines it."""
    return _measure(ImageClasses(classes), logits, semantics)


def edge_detection(logits: Tensor, edges: Tensor, **options: Any) -> Metrics:
    """Return precision, recall, F1, ODS and OIS of edge logits (B, 1, h, w), as :class:`EdgeDetection` does."""
    return _measure(EdgeDetection(**options), logits, edges)


def coverage(covered: Tensor, valid: Tensor) -> Metrics:
    """Return the share of pixels with truth that have a prediction, as :class:`Coverage` does."""
    return _measure(Coverage(), covered, valid)


def layout_retrieval(embedding: Tensor, scene: Sequence[str] | Tensor, frame: Tensor, **options: Any) -> Metrics:
    """Return the recall of frames by descriptors (B, D), as :class:`LayoutRetrieval` defines it."""
    return _measure(LayoutRetrieval(**options), embedding, scene, frame)


def _measure(metric: SuiteMetric, predicted: Tensor | Sequence[Tensor], *truth: Any) -> Metrics:
    """Return the metrics of one batch, computed on the batch's device."""
    first = predicted if isinstance(predicted, Tensor) else predicted[0]
    metric.to(first.device).update(predicted, *truth)
    return metric.compute()
