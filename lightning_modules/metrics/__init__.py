"""The metric suite: torchmetrics whose states are exact sums, under one evaluation protocol.

Each metric is a class, which :data:`~lightning_modules.metrics.suite.SUITE` lists, and a function of
:mod:`~lightning_modules.metrics.functional`; :func:`describe` tells its unit and which way it is better.
"""

from lightning_modules.metrics import functional
from lightning_modules.metrics.boundary import BoundaryError, per_image_boundary_errors
from lightning_modules.metrics.boundary_protocol import BoundaryProtocol
from lightning_modules.metrics.coverage import Coverage
from lightning_modules.metrics.depth_boundary import DepthBoundaryF1, per_image_depth_boundary
from lightning_modules.metrics.depth_errors import DepthErrors, per_image_depth_errors
from lightning_modules.metrics.depth_units import DepthErrorsInUnits
from lightning_modules.metrics.edge_detection import EdgeDetection
from lightning_modules.metrics.image_class_scores import ImageClasses
from lightning_modules.metrics.label_errors import BorderErrors, ThinErrors
from lightning_modules.metrics.layout_flatness import LayoutFlatness
from lightning_modules.metrics.metric_info import MetricInfo
from lightning_modules.metrics.objectwise import ObjectwiseErrors
from lightning_modules.metrics.planarity import PlanarityErrors
from lightning_modules.metrics.point_cloud import PointCloudChamfer
from lightning_modules.metrics.protocol import EvalProtocol, Prepared
from lightning_modules.metrics.range_errors import RangeErrors
from lightning_modules.metrics.region_errors import RegionErrors
from lightning_modules.metrics.retrieval import LayoutRetrieval
from lightning_modules.metrics.scale_check import ScaleCheck
from lightning_modules.metrics.segment_quality import SegmentQuality, per_image_segment_quality
from lightning_modules.metrics.segmentation_accuracy import SegmentationAccuracy
from lightning_modules.metrics.smoothness import ObjectRoughness
from lightning_modules.metrics.sparsification import Sparsification
from lightning_modules.metrics.suite import SUITE, describe

__all__ = [
    "SUITE",
    "BorderErrors",
    "BoundaryError",
    "BoundaryProtocol",
    "Coverage",
    "DepthBoundaryF1",
    "DepthErrors",
    "DepthErrorsInUnits",
    "EdgeDetection",
    "EvalProtocol",
    "ImageClasses",
    "LayoutFlatness",
    "LayoutRetrieval",
    "MetricInfo",
    "ObjectRoughness",
    "ObjectwiseErrors",
    "PlanarityErrors",
    "PointCloudChamfer",
    "Prepared",
    "RangeErrors",
    "RegionErrors",
    "ScaleCheck",
    "SegmentQuality",
    "SegmentationAccuracy",
    "Sparsification",
    "ThinErrors",
    "describe",
    "functional",
    "per_image_boundary_errors",
    "per_image_depth_boundary",
    "per_image_depth_errors",
    "per_image_segment_quality",
]
