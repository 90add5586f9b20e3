"""How well a hierarchy of segments follows annotated objects and depth."""

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.utilities import dim_zero_cat

from lightning_modules.metrics.exact_sums import SuiteMetric
from lightning_modules.metrics.gathering import gather_rows
from lightning_modules.metrics.label_maps import compact_ids, table_places
from lightning_modules.metrics.metric_info import LEFT_OUT, Infos, higher, lower
from lightning_modules.metrics.precision import accumulation_dtype

#: Metrics of one level.
KEYS = {
    "boundary_recall": higher(), "undersegmentation_error": lower(), "achievable_accuracy": higher(),
    "explained_variance": higher(),
}  # fmt: skip

#: Key of a metric of one level.
OF_LEVEL = "level{level}_{name}"


def per_image_segment_quality(
    segments: Sequence[Tensor], instances: Tensor, depth: Tensor, valid: Tensor, tolerance: int = 2
) -> dict[str, Tensor]:
    """Return each image's segment quality, as :class:`SegmentQuality` defines it; for the arguments see its ``update``.

    Returns:
        One (B,) tensor a level and metric, such as ``level0_boundary_recall``; NaN where it is not defined.
    """
    for labels in segments:
        _check_shapes(labels, instances, depth, valid)
    boundaries, objects = _boundaries(instances), compact_ids(instances)
    deviations, variances = _deviations(depth[:, 0], valid[:, 0])
    values: dict[str, Tensor] = {}
    for level, labels in enumerate(segments):
        labels = _resized(labels, instances.shape[1:])
        places, columns = table_places(labels)
        per_image = (
            _boundary_recall(_boundaries(labels), boundaries, tolerance),
            *_region_values(places, columns, objects),
            _explained_variance(places, columns, deviations, valid[:, 0]) / variances,
        )
        named = zip(KEYS, per_image, strict=True)
        values |= {OF_LEVEL.format(level=level, name=name): value for name, value in named}
    return values


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

    An image enters every metric that is defined for it. ``excluded`` counts the images without an object,
    ``excluded_boundary`` those without a boundary of one, ``excluded_depth`` those of constant or no valid depth.

    Args:
        tolerance: pixels, of the boundary recall.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if the tolerance is negative.
    """

    figures: list[Tensor]

    group = "segment"
    reads = "segments"
    needs = ("instances", "depth", "valid")
    info: ClassVar[Infos] = {f"level{{level}}_{name}": info for name, info in KEYS.items()}
    counts: ClassVar[Infos] = {"excluded": LEFT_OUT, "excluded_boundary": LEFT_OUT, "excluded_depth": LEFT_OUT}

    def __init__(self, tolerance: int = 2, **kwargs: Any) -> None:
        super().__init__(dist_sync_fn=gather_rows, **kwargs)
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
        levels = {len(rows[0]) // len(KEYS) for rows in self.figures[:1]} | {len(segments)}
        if levels != {len(segments)} or not segments:
            raise ValueError(f"every batch must have the same number of segment levels, and one at least, got {levels}")
        self.per_image = per_image_segment_quality(segments, instances, depth, valid, self.tolerance)
        self.figures.append(torch.stack(list(self.per_image.values()), dim=1))

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics by key, such as ``level0_boundary_recall``, scalars; NaN if no image has it.

        Raises:
            ValueError: if no process has seen an image.
        """
        if not len(self.figures):
            raise ValueError("segment quality without an image: `update` was never called, in any process")
        images = dim_zero_cat(self.figures)
        levels = range(images.shape[1] // len(KEYS))
        names = [OF_LEVEL.format(level=level, name=name) for level in levels for name in KEYS]
        boundary, region, _, depth = images.isnan().sum(0).to(images.dtype)[: len(KEYS)]  # the same on every level
        return dict(zip(names, images.nanmean(0), strict=True)) | {
            "excluded": region,
            "excluded_boundary": boundary,
            "excluded_depth": depth,
        }


def _boundary_recall(found: Tensor, truth: Tensor, tolerance: int) -> Tensor:
    """(B,) share of the true boundary pixels with a found one near, from (B, H, W) bool maps."""
    near = found
    for axis in (1, 2):
        length = near.shape[axis]
        around = F.pad(near, (tolerance, tolerance) if axis == 2 else (0, 0, tolerance, tolerance))
        near = functools.reduce(torch.logical_or, (around.narrow(axis, i, length) for i in range(2 * tolerance + 1)))
    dtype = accumulation_dtype(found.device)
    return (truth & near).sum((1, 2)).to(dtype) / truth.sum((1, 2))


def _boundaries(labels: Tensor) -> Tensor:
    """(B, H, W) bool, the pixels with a 4-neighbour of another label."""
    across = labels[:, :, 1:] != labels[:, :, :-1]
    down = labels[:, 1:] != labels[:, :-1]
    return F.pad(across, (0, 1)) | F.pad(across, (1, 0)) | F.pad(down, (0, 0, 0, 1)) | F.pad(down, (0, 0, 1, 0))


def _region_values(places: Tensor, columns: int, objects: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) undersegmentation error and (B,) achievable segmentation accuracy.

    Args:
        places: (B, H, W) places of the pixels in a table of segments, with this number of columns.
        columns: as :func:`table_places` returns it.
        objects: (B, H, W) ids; 0 = none.
    """
    dtype, ids = accumulation_dtype(objects.device), int(objects.max()) + 1
    # Runs of equal pairs first: they are few, and a dense table of pairs would be segments x objects.
    pairs, lengths = torch.unique_consecutive((places * ids + objects).flatten(), return_counts=True)
    on_object = pairs % ids > 0
    pairs, pair = pairs[on_object].unique(return_inverse=True)
    overlap = torch.zeros_like(pairs).index_add(0, pair, lengths[on_object])

    segment = pairs // ids
    area, largest, leak = overlap.new_zeros(3, len(objects) * columns)
    area.index_add_(0, segment, overlap)
    largest.scatter_reduce_(0, segment, overlap, "amax")
    leak.index_add_(0, segment, torch.minimum(overlap, area[segment] - overlap))
    pixels, achieved, leaked = (table.view(-1, columns).sum(1).to(dtype) for table in (area, largest, leak))
    return leaked / pixels, achieved / pixels


def _deviations(depth: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """(B, H, W) differences from the mean depth of the image, 0 where not valid, and (B,) sums of their squares.

    The sum is NaN for an image without two different valid depths.
    """
    depth = depth.to(accumulation_dtype(depth.device))
    mean = depth.where(valid, 0.0).sum((1, 2)) / valid.sum((1, 2))
    deviations = (depth - mean[:, None, None]).where(valid, 0.0)
    # Round-off gives a constant depth a variance, so it is asked for its extremes.
    varies = depth.where(valid, -torch.inf).amax((1, 2)) > depth.where(valid, torch.inf).amin((1, 2))
    return deviations, deviations.square().sum((1, 2)).where(varies, torch.nan)


def _explained_variance(places: Tensor, columns: int, deviations: Tensor, valid: Tensor) -> Tensor:
    """(B,) sums over segments of area times squared mean deviation, from (B, H, W) maps."""
    moved, area = (
        deviations.new_zeros(len(places) * columns).scatter_add_(0, places.flatten(), part.flatten())
        for part in (deviations, valid.to(deviations.dtype))
    )
    return (moved.square() / area.clamp(min=1)).view(-1, columns).sum(1)


def _resized(labels: Tensor, size: torch.Size) -> Tensor:
    """(B, h, w) labels at another size."""
    if labels.shape[1:] != size:
        # Nearest, in a dtype that holds the labels exactly: there is no resize of integers.
        labels = labels.to(accumulation_dtype(labels.device))[:, None]
        labels = F.interpolate(labels, size, mode="nearest-exact")[:, 0]
    return labels.long()


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
