"""Depth errors object by object: is the depth right, and coherent, inside each annotated object."""

import math
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from lightning_modules.metrics.depth_errors import LOG_FLOOR, THRESHOLDS
from lightning_modules.metrics.depth_metric import DepthMetric
from lightning_modules.metrics.label_maps import check_labels, table_places
from lightning_modules.metrics.metric_info import Infos, MetricInfo, higher, lower
from lightning_modules.metrics.protocol import EvalProtocol, Prepared

ObjectAveraging = Literal["per_object", "per_image", "area"]
KEYS = {
    "object_delta1": higher(), "object_abs_rel": lower(), "object_rmse": lower("m"), "object_log10": lower(),
    "object_gradient": lower(),
}  # fmt: skip


class ObjectwiseErrors(DepthMetric):
    r"""Depth errors inside each annotated object, averaged over objects (SHED, Table 1, right).

    With prediction :math:`\hat d`, truth :math:`d` and :math:`g = \ln\hat d - \ln d` on the valid pixels of one object:

    ===================  ============================================================================  ======
    ``object_delta1``    share of pixels with max(d^/d, d/d^) < 1.25                                   higher
    ``object_abs_rel``   mean \|d^ - d\| / d                                                           lower
    ``object_rmse``      sqrt mean (d^ - d)^2, metres                                                  lower
    ``object_log10``     mean \|log10 d^ - log10 d\|                                                   lower
    ``object_gradient``  mean \|g(q) - g(p)\| over horizontal and vertical neighbours p, q inside the  lower
                         object: the error of the forward differences of log depth
    ===================  ============================================================================  ======

    ``object_gradient`` does not see an object's scale, only its shape. An object without two valid neighbours has no
    gradient and does not enter its average.

    ``objects`` counts the averaged objects, ``excluded`` the images without any, and ``nonfinite`` NaN or infinite
    predictions on the pixels of averaged objects, as :class:`CountedMeans` explains.

    Args:
        protocol: range, crop and alignment; its own ``averaging`` is not read.
        averaging: ``per_object`` over all objects of the set, ``per_image`` over the objects of each image, then over
            images, or ``area`` over all objects, weighted by their number of valid pixels.
        min_pixels: objects with fewer valid pixels are left out.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if ``averaging`` is unknown or ``min_pixels`` is below 1.
    """

    totals: Tensor
    weights: Tensor
    objects: Tensor

    group = "object"
    needs = ("instances",)
    info: ClassVar[Infos] = {**KEYS, "objects": MetricInfo()}

    def __init__(
        self, protocol: EvalProtocol, averaging: ObjectAveraging = "per_object", min_pixels: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(protocol, **kwargs)
        if averaging not in get_args(ObjectAveraging):
            raise ValueError(f"`averaging` must be one of {', '.join(get_args(ObjectAveraging))}, got {averaging!r}")
        if min_pixels < 1:
            raise ValueError(f"`min_pixels` must be at least 1, got {min_pixels}")
        self.averaging = averaging
        self.min_pixels = min_pixels
        self.add_sum("totals", len(KEYS))
        self.add_sum("weights", len(KEYS))
        self.add_count("objects")

    def add(self, prepared: Prepared, instances: Tensor) -> None:
        """Add a prepared batch.

        Args:
            prepared: the batch.
            instances: (B, H, W) int64, one id per object of an image; 0 = none.

        Raises:
            ValueError: if ``instances`` are not integers on the truth's grid.
        """
        check_labels(prepared.target, instances, "instances")
        prediction, target, valid = (part.squeeze(1) for part in prepared)
        sums = _object_sums(prediction, target, instances.where(valid & (instances > 0), 0))
        pixels, nonfinite, *_, neighbours, _ = sums
        kept = pixels >= self.min_pixels
        defined = torch.stack([kept] * (len(KEYS) - 1) + [kept & (neighbours > 0)])
        weights = self._weights(defined, pixels)
        weighted = (_values(sums) * weights).where(defined, 0.0)
        self.totals += weighted.sum((1, 2))
        self.weights += weights.sum((1, 2))
        self.objects += kept.sum()
        self.excluded += (~kept.any(1)).sum()
        spoilt = nonfinite.where(kept, 0.0).sum(1)
        self.nonfinite += spoilt.sum().long()
        of_images = weighted.sum(2) / weights.sum(2)  # averaged over an image's objects, by area if that is asked for
        self.per_image = dict(zip(KEYS, of_images.where(spoilt == 0, torch.nan), strict=True))

    def means(self) -> dict[str, Tensor]:
        """Return the metrics of the class docstring, scalars; NaN if there was no object."""
        return dict(zip(KEYS, self.totals / self.weights, strict=True))

    def numbers(self) -> dict[str, Tensor]:
        """Return the number of averaged objects."""
        return {"objects": self.objects}

    def _weights(self, defined: Tensor, pixels: Tensor) -> Tensor:
        """(5, B, N) weight of each object in each metric, 0 where it is not defined; ``pixels`` are (B, N)."""
        if self.averaging == "area":
            return defined * pixels
        if self.averaging == "per_image":
            return defined / defined.sum(2, keepdim=True).clamp(min=1).to(pixels.dtype)
        return defined.to(pixels.dtype)


def _object_sums(prediction: Tensor, target: Tensor, objects: Tensor) -> tuple[Tensor, ...]:
    """Sums over the pixels of each object, without a loop over objects.

    Args:
        prediction: (B, H, W) depth.
        target: (B, H, W) true depth, positive on objects.
        objects: (B, H, W) int64 ids, 0 where there is no object or no valid truth.

    Returns:
        (B, N) sums of: pixels, non-finite predictions, hits of delta1, relative, squared and logarithmic errors, pairs
        of neighbours and gradient errors. N are the ids of the batch; one that an image lacks has no pixels.
    """
    places, columns = table_places(objects)
    positive = prediction.clamp(min=LOG_FLOOR)
    ratio = positive / target
    # A pixel is a miss (0) or a hit (1) of delta1, or not finite (2): one count answers all three.
    hit = (ratio < THRESHOLDS[0]) & (target / positive < THRESHOLDS[0])
    kinds = 3 * places + torch.where(prediction.isfinite(), hit, 2)
    counts = torch.bincount(kinds.flatten(), minlength=3 * len(objects) * columns).view(-1, columns, 3)
    counts = counts[:, 1:]  # what lies on no object, infinities included, ends in column 0

    def total(values: Tensor) -> Tensor:
        table = values.new_zeros(len(objects) * columns)
        return table.scatter_add_(0, places.flatten(), values.flatten()).view(-1, columns)[:, 1:]

    error, log_error = prediction - target, ratio.log()
    neighbours, gradient = torch.zeros_like(target), torch.zeros_like(target)
    for axis in (1, 2):  # what is between two pixels is added to the first
        pairs = objects.shape[axis] - 1
        inside = places.narrow(axis, 0, pairs) == places.narrow(axis, 1, pairs)
        neighbours.narrow(axis, 0, pairs).add_(inside)
        gradient.narrow(axis, 0, pairs).add_(log_error.diff(dim=axis).abs_().where(inside, 0.0))
    return (
        *(count.to(target.dtype) for count in (counts.sum(2), counts[..., 2], counts[..., 1])),
        total(error.abs() / target),
        total(error.square()),
        total(log_error.abs()),
        total(neighbours),
        total(gradient),
    )


def _values(sums: tuple[Tensor, ...]) -> Tensor:
    """(5, B, N) metrics in the order of `KEYS`, NaN where not defined."""
    pixels, _, hits, relative, square, log, neighbours, gradient = sums
    rmse, log10 = (square / pixels).sqrt(), log / pixels / math.log(10)
    return torch.stack([hits / pixels, relative / pixels, rmse, log10, gradient / neighbours])
