"""Every metric class of the suite, and what its `update` takes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_modules import metrics
from lightning_modules.metrics import EvalProtocol

PROTOCOL = EvalProtocol("contract", min_depth=0.1, max_depth=8.0)
CLASSES = 40
DEPTH = ("prediction", "target", "valid")

#: By class name: how it is made, and the arguments of ``update``, of :func:`make_inputs`.
METRICS: dict[str, tuple[Callable[[], Metric], tuple[str, ...]]] = {
    "BorderErrors": (lambda: metrics.BorderErrors(PROTOCOL), (*DEPTH, "semantics")),
    "BoundaryError": (metrics.BoundaryError, ("prediction", "occlusion")),
    "Coverage": (metrics.Coverage, ("covered", "valid")),
    "DepthBoundaryF1": (lambda: metrics.DepthBoundaryF1(PROTOCOL), DEPTH),
    "DepthErrors": (lambda: metrics.DepthErrors(PROTOCOL), DEPTH),
    "DepthErrorsInUnits": (lambda: metrics.DepthErrorsInUnits(PROTOCOL, unit=10.0), DEPTH),
    "EdgeDetection": (metrics.EdgeDetection, ("edge_logits", "edges")),
    "ImageClasses": (lambda: metrics.ImageClasses(CLASSES), ("image_logits", "semantics")),
    "LayoutFlatness": (lambda: metrics.LayoutFlatness(PROTOCOL), (*DEPTH, "semantics", "intrinsics")),
    "LayoutRetrieval": (metrics.LayoutRetrieval, ("embedding", "scene", "frame")),
    "ObjectRoughness": (lambda: metrics.ObjectRoughness(PROTOCOL, step=1, margin=1), (*DEPTH, "instances")),
    "ObjectwiseErrors": (lambda: metrics.ObjectwiseErrors(PROTOCOL), (*DEPTH, "instances")),
    "PlanarityErrors": (
        lambda: metrics.PlanarityErrors(PROTOCOL),
        (*DEPTH, "instances", "plane_parameters", "intrinsics"),
    ),
    "PointCloudChamfer": (lambda: metrics.PointCloudChamfer(PROTOCOL), (*DEPTH, "intrinsics")),
    "RangeErrors": (lambda: metrics.RangeErrors(PROTOCOL), DEPTH),
    "RegionErrors": (lambda: metrics.RegionErrors(PROTOCOL), (*DEPTH, "instances")),
    "ScaleCheck": (lambda: metrics.ScaleCheck(PROTOCOL), DEPTH),
    "SegmentQuality": (metrics.SegmentQuality, ("segments", "instances", "target", "valid")),
    "SegmentationAccuracy": (lambda: metrics.SegmentationAccuracy(CLASSES), ("class_logits", "semantics")),
    "Sparsification": (lambda: metrics.Sparsification(PROTOCOL), (*DEPTH, "uncertainty")),
    "ThinErrors": (lambda: metrics.ThinErrors(PROTOCOL), (*DEPTH, "semantics")),
}

#: Arguments that a network computes, in whatever precision it has.
PREDICTED = ("prediction", "edge_logits", "image_logits", "class_logits", "embedding", "uncertainty")


def make_inputs(images: int = 6, size: tuple[int, int] = (23, 31)) -> dict[str, Any]:
    """Make all arguments of all metrics: predictions at half the truth's odd size, the third image without truth."""
    random = torch.Generator().manual_seed(0)
    height, width = size
    half = (height // 2, width // 2)
    walls = 2 + 0.02 * torch.arange(width) + 2 * (torch.arange(width) > width // 2)  # two, one behind the other
    target = walls + 0.01 * torch.rand(images, 1, *size, generator=random)
    valid = torch.rand(images, 1, *size, generator=random) < 0.9
    valid[2] = False
    quarters = (torch.arange(height) // 6)[:, None] * 6 + torch.arange(width) // 6
    rotated = torch.stack([quarters.roll(image, 1) for image in range(images)])
    camera = torch.tensor([[20.0, 0.0, width / 2], [0.0, 20.0, height / 2], [0.0, 0.0, 1.0]])
    parameters = torch.full((images, 32, 4), torch.nan)
    parameters[:, :4] = torch.tensor([0.0, 0.0, 1.0, -3.0])
    embedding = torch.randn(images, 8, generator=random)
    return {
        "prediction": 1 + 6 * torch.rand(images, 1, *half, generator=random),
        "target": target,
        "valid": valid,
        "covered": torch.rand(valid.shape, generator=random) < 0.8,
        "occlusion": torch.rand(valid.shape, generator=random) < 0.1,
        "edges": torch.rand(valid.shape, generator=random) < 0.1,
        "edge_logits": torch.randn(images, 1, *half, generator=random),
        "semantics": rotated % CLASSES,
        "instances": rotated % 5,
        "class_logits": torch.randn(images, CLASSES, *half, generator=random),
        "image_logits": torch.randn(images, CLASSES, generator=random),
        "segments": [rotated[:, ::2, ::2], rotated[:, ::2, ::2] // 3],
        "plane_parameters": parameters,
        "intrinsics": camera.expand(images, 3, 3),
        "embedding": embedding,
        "uncertainty": torch.rand(images, 1, *half, generator=random),
        "scene": torch.arange(images) // 2,
        "frame": 10 * torch.arange(images),
    }


def arguments(name: str, inputs: dict[str, Any]) -> list[Any]:
    """What a metric's ``update`` takes of all inputs."""
    return [inputs[key] for key in METRICS[name][1]]


def part(argument: Any, images: slice) -> Any:
    """Some images of an argument, which for segments is a list of maps."""
    return argument[images] if isinstance(argument, Tensor) else [map_[images] for map_ in argument]
