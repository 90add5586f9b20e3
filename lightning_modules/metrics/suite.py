"""All metrics of the suite, in the order of tables, and what they say of themselves."""

from functools import cache

from lightning_modules.metrics.boundary import BoundaryError
from lightning_modules.metrics.coverage import Coverage
from lightning_modules.metrics.depth_boundary import DepthBoundaryF1
from lightning_modules.metrics.depth_errors import DepthErrors
from lightning_modules.metrics.depth_units import DepthErrorsInUnits
from lightning_modules.metrics.edge_detection import EdgeDetection
from lightning_modules.metrics.exact_sums import SuiteMetric
from lightning_modules.metrics.image_class_scores import ImageClasses
from lightning_modules.metrics.label_errors import BorderErrors, ThinErrors
from lightning_modules.metrics.layout_flatness import LayoutFlatness
from lightning_modules.metrics.metric_info import Infos, MetricInfo, find_info, lower
from lightning_modules.metrics.objectwise import ObjectwiseErrors
from lightning_modules.metrics.planarity import PlanarityErrors
from lightning_modules.metrics.point_cloud import PointCloudChamfer
from lightning_modules.metrics.range_errors import RangeErrors
from lightning_modules.metrics.region_errors import RegionErrors
from lightning_modules.metrics.retrieval import LayoutRetrieval
from lightning_modules.metrics.scale_check import ScaleCheck
from lightning_modules.metrics.segment_quality import SegmentQuality
from lightning_modules.metrics.segmentation_accuracy import SegmentationAccuracy
from lightning_modules.metrics.smoothness import ObjectRoughness
from lightning_modules.metrics.sparsification import Sparsification

#: The classes that an evaluation has, by group.
SUITE: dict[str, type[SuiteMetric]] = {
    metric.group: metric
    for metric in (
        DepthErrors,
        DepthErrorsInUnits,
        ObjectwiseErrors,
        BoundaryError,
        DepthBoundaryF1,
        PointCloudChamfer,
        PlanarityErrors,
        SegmentQuality,
        SegmentationAccuracy,
        ImageClasses,
        EdgeDetection,
        RegionErrors,
        RangeErrors,
        BorderErrors,
        ThinErrors,
        LayoutFlatness,
        ObjectRoughness,
        Sparsification,
        Coverage,
        LayoutRetrieval,
    )
}

#: The same errors of the median depth everywhere, which stand beside a method's own.
BASELINE = "baseline_"

#: What training and validation log.
LOSSES: Infos = {"loss": lower(), "loss_{term}": lower(), "{term}_loss": lower()}


@cache
def describe(name: str) -> MetricInfo:
    """Return unit and direction of a metric, as its class declares them; of what no class knows, neither.

    Args:
        name: of the metric, with or without stage and data set: ``abs_rel``, ``val/abs_rel``, ``test/nyuv2/delta1``.
    """
    key = name.rsplit("/", 1)[-1]
    if key.startswith(BASELINE):
        return find_info(key.removeprefix(BASELINE), DepthErrors.info) or MetricInfo()
    return find_info(key, _all_infos()) or MetricInfo()


@cache
def _all_infos() -> Infos:
    """Facts by public name, or by template of public names."""
    infos = dict(LOSSES)
    classes: list[type[SuiteMetric]] = [*SUITE.values(), ScaleCheck]
    for metric in classes:
        infos |= {metric.public_name(key): info for key, info in (metric.info | metric.counts).items()}
    return infos
