"""How well a hierarchy of segments follows annotated objects and depth."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.utilities import dim_zero_cat

from lightning_modules.metrics.exact_sums import SuiteMetric, accumulation_dtype

FIGURES = ("boundary_recall", "undersegmentation_error", "achievable_accuracy", "explained_variance")


def per_image_segment_quality(
    segments: Sequence[Tensor], instances: Tensor, depth: Tensor, valid: Tensor, tolerance: int = 2
) -> dict[str, Tensor]:
    """Segment quality of each image, as :class:`SegmentQuality` defines it; for the arguments see its ``update``.

    Returns:
        One (B,) tensor per level and figure, such as ``level0_boundary_recall``; NaN where it is not defined.
    """
    size = instances.shape[-2:]
    figures: dict[str, Tensor] = {}
    for level, labels in enumerate(segments):
        _check_shapes(labels, instances, depth, valid)
        # Nearest, in a dtype that holds the labels exactly: there is no resize of integers.
        resized = F.interpolate(labels[:, None].to(accumulation_dtype(labels.device)), size, mode="nearest-exact")
        labels = resized[:, 0].long()
        per_image = (
            _boundary_recall(labels, instances, tolerance),
            *_region_figures(labels, instances),
            _explained_variance(labels, depth[:, 0], valid[:, 0]),
        )
        figures |= {f"level{level}_{name}": figure for name, figure in zip(FIGURES, per_image, strict=True)}
    return figures


class SegmentQuality(SuiteMetric):
    r"""Quality of every level of a segment hierarchy; means over images.

    With segments :math:`S`, annotated objects :math:`G`, and :math:`N` pixels on an object (all sets are taken there):

    * ``boundary_recall``: share of the objects' boundary pixels with a segments' boundary pixel in the square of
      ``tolerance`` pixels around them (Martin et al. 2004, with the square of Stutz et al. 2018). A boundary pixel has
      a 4-neighbour of another label; where an object meets unlabelled pixels is a boundary.
    * ``undersegmentation_error``: :math:`\frac{1}{N} \sum_G \sum_{S \cap G \ne \emptyset} \min(|S \cap G|,
      |S \setminus G|)` (Neubert & Protzel 2012). Unlike Levinshtein's and Achanta's it does not charge a
      large segment in full for a small leak. Lower is better.
    * ``achievable_accuracy``: :math:`\frac{1}{N} \sum_S \max_G |S \cap G|` (Liu et al. 2011), the accuracy if every
      segment were given its best object.
    * ``explained_variance``: :math:`\sum_S |S| (\mu_S - \mu)^2 / \sum_i (d_i - \mu)^2` over the pixels of valid
      depth (Moore et al. 2008, there of colour): 1 if depth is constant in every segment.

    An image enters every figure that is defined for it. ``excluded`` counts the images without an object,
    ``excluded_boundary`` those without a boundary of one, ``excluded_depth`` those of constant or no valid depth.

    Args:
        tolerance: pixels, of the boundary recall.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if the tolerance is negative.
    """

    figures: list[Tensor]

    def __init__(self, tolerance: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if tolerance < 0:
            raise ValueError(f"`tolerance` must be >= 0 pixels, got {tolerance}")
        self.tolerance = tolerance
        # One row per image and not their sum: how many levels there are shows only in the first prediction.
        self.add_state("figures", [], dist_reduce_fx="cat")

    def update(self, segments: Sequence[Tensor], instances: Tensor, depth: Tensor, valid: Tensor) -> None:
        """Add a batch.

        Args:
            segments: label maps (B, h, w) int64 >= 0, fine to coarse; resized to the truth's size (nearest).
            instances: (B, H, W) int64, one id per object; 0 = none.
            depth: (B, 1, H, W) true depth.
            valid: (B, 1, H, W) bool, true where the depth is measured.

        Raises:
            ValueError: if the shapes do not fit together, a label is negative, or the number of levels is 0 or changes.
        """
        levels = {len(rows[0]) // len(FIGURES) for rows in self.figures[:1]} | {len(segments)}
        if levels != {len(segments)} or not segments:
            raise ValueError(f"every batch must have the same number of segment levels, and one at least, got {levels}")
        figures = per_image_segment_quality(segments, instances, depth, valid, self.tolerance)
        self.figures.append(torch.stack(list(figures.values()), dim=1))
        self.per_image = figures

    def compute(self) -> dict[str, Tensor]:
        """The figures of the class docstring, scalars such as ``level0_boundary_recall``; NaN if no image has one."""
        images = dim_zero_cat(self.figures)
        names = [f"level{level}_{name}" for level in range(images.shape[1] // len(FIGURES)) for name in FIGURES]
        boundary, region, _, depth = images.isnan().sum(0).to(images.dtype)[: len(FIGURES)]  # the same on every level
        return dict(zip(names, images.nanmean(0), strict=True)) | {
            "excluded": region,
            "excluded_boundary": boundary,
            "excluded_depth": depth,
        }


def _boundary_recall(labels: Tensor, instances: Tensor, tolerance: int) -> Tensor:
    """(B,) boundary recall from (B, H, W) maps."""
    truth, found = _boundaries(instances), _boundaries(labels)
    near = F.max_pool2d(found[:, None].float(), 2 * tolerance + 1, stride=1, padding=tolerance)[:, 0] > 0
    dtype = accumulation_dtype(labels.device)
    return (truth & near).sum((1, 2)).to(dtype) / truth.sum((1, 2))


def _boundaries(labels: Tensor) -> Tensor:
    """(B, H, W) bool, the pixels with a 4-neighbour of another label."""
    across = labels[:, :, 1:] != labels[:, :, :-1]
    down = labels[:, 1:] != labels[:, :-1]
    return F.pad(across, (0, 1)) | F.pad(across, (1, 0)) | F.pad(down, (0, 0, 0, 1)) | F.pad(down, (0, 0, 1, 0))


def _region_figures(labels: Tensor, instances: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) undersegmentation error and (B,) achievable segmentation accuracy from (B, H, W) maps."""
    segment_ids, objects = _ids_over_batch(labels), int(instances.max()) + 1
    on_object = instances > 0
    # Sorted, so that the pairs of one segment are neighbours. A dense table would be segments x objects.
    pairs, overlap = torch.unique((segment_ids * objects + instances)[on_object], return_counts=True)
    ids, segment = torch.unique_consecutive(pairs // objects, return_inverse=True)
    area = torch.zeros_like(ids).index_add(0, segment, overlap)
    largest = torch.zeros_like(ids).scatter_reduce(0, segment, overlap, "amax")
    leak = torch.zeros_like(ids).index_add(0, segment, torch.minimum(overlap, area[segment] - overlap))

    image = ids // _labels_per_image(labels)
    pixels = on_object.sum((1, 2)).to(accumulation_dtype(labels.device))
    leaked, achieved = (torch.zeros_like(pixels).index_add(0, image, n.to(pixels.dtype)) for n in (leak, largest))
    return leaked / pixels, achieved / pixels


def _explained_variance(labels: Tensor, depth: Tensor, valid: Tensor) -> Tensor:
    """(B,) share of the variance of depth that is between segments, from (B, H, W) maps."""
    depth = depth.to(accumulation_dtype(depth.device))
    pixels = valid.sum((1, 2))
    mean = depth.where(valid, 0.0).sum((1, 2)) / pixels
    deviation = (depth - mean[:, None, None]).where(valid, 0.0)
    total = deviation.square().sum((1, 2))

    ids, segment, area = torch.unique(_ids_over_batch(labels)[valid], return_inverse=True, return_counts=True)
    moved = deviation.new_zeros(len(ids)).index_add(0, segment, deviation[valid])
    between = torch.zeros_like(total).index_add(0, ids // _labels_per_image(labels), moved.square() / area)
    # Round-off gives a constant depth a variance, so it is asked for its extremes.
    varies = depth.where(valid, -torch.inf).amax((1, 2)) > depth.where(valid, torch.inf).amin((1, 2))
    return (between / total).where(varies, torch.nan)


def _labels_per_image(labels: Tensor) -> int:
    return int(labels.max()) + 1


def _ids_over_batch(labels: Tensor) -> Tensor:
    """(B, H, W) labels of which no two images share one: image b has those from b * `_labels_per_image`."""
    images = torch.arange(len(labels), device=labels.device)
    return images[:, None, None] * _labels_per_image(labels) + labels


def _check_shapes(labels: Tensor, instances: Tensor, depth: Tensor, valid: Tensor) -> None:
    batch, *size = instances.shape
    maps_fit = depth.shape == valid.shape == (batch, 1, *size)
    if not maps_fit or len(size) != 2 or labels.ndim != 3 or len(labels) != batch:
        raise ValueError(
            "segments must be (B, h, w) each, instances (B, H, W), depth and valid (B, 1, H, W), got "
            f"{tuple(labels.shape)}, {tuple(instances.shape)}, {tuple(depth.shape)} and {tuple(valid.shape)}"
        )
    if labels.min() < 0 or instances.min() < 0:
        raise ValueError(
            f"labels must be >= 0, got {int(labels.min())} in segments, {int(instances.min())} in instances"
        )
