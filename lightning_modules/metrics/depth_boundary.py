"""Boundary F1 from depth ratios, which needs no annotation of edges."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_modules.metrics.depth_errors import LOG_FLOOR
from lightning_modules.metrics.depth_metric import DepthMetric
from lightning_modules.metrics.image_means import ImageMeans
from lightning_modules.metrics.metric_info import Infos, higher
from lightning_modules.metrics.protocol import EvalProtocol, Prepared

RATIOS = tuple(torch.linspace(1.05, 1.25, 10, dtype=torch.float64).tolist())
KEYS = {f"depth_boundary_{name}": higher() for name in ("precision", "recall", "f1")}


def per_image_depth_boundary(
    prediction: Tensor, target: Tensor, valid: Tensor, ratios: Sequence[float] = RATIOS
) -> dict[str, Tensor]:
    """Return the depth-ratio boundary metrics of each image, as :class:`DepthBoundaryF1` defines them.

    Args:
        prediction: (B, 1, H, W) depth, as :meth:`EvalProtocol.prepare` returns it.
        target: (B, 1, H, W) true depth, positive where valid.
        valid: (B, 1, H, W) bool, the evaluated pixels.
        ratios: thresholds, ascending.

    Returns:
        One (B,) tensor a metric; NaN for an image whose truth has no edge at the lowest threshold or with a
        non-finite prediction on a valid pixel.
    """
    finite = (prediction.isfinite() | ~valid).flatten(1).all(1)
    positive = prediction.clamp(min=LOG_FLOOR)  # without a clamp in the protocol it may be zero or negative
    counts = torch.stack(list(_occlusions(torch.stack([positive, target]), valid, ratios)))
    found, predicted, true = counts.to(prediction.dtype).unbind(1)  # each (4, B, T)
    precision, recall = (found / predicted.clamp(min=1)).mean(0), (found / true.clamp(min=1)).mean(0)
    f1 = 2 * precision * recall / (precision + recall).where(precision + recall > 0, 1.0)
    weights = precision.new_tensor(ratios) / sum(ratios)
    defined = finite & (true[..., 0].sum(0) > 0)
    means = ((values @ weights).where(defined, torch.nan) for values in (precision, recall, f1))
    return dict(zip(KEYS, means, strict=True))


class DepthBoundaryF1(DepthMetric, ImageMeans):
    """Scale-invariant boundary F1 (Bochkovskii et al. 2024, Depth Pro, section 4).

    A pixel occludes its right neighbour at threshold t if the neighbour is more than t times as deep; left, up and down
    are treated alike. Precision is the share of predicted occlusions that are true, recall the share of true ones that
    are predicted; both are means over the four directions, and their harmonic mean is F1. Each of
    ``depth_boundary_precision``, ``depth_boundary_recall`` and ``depth_boundary_f1`` (all: higher is better) is a mean
    over the thresholds with weights proportional to t, then over images, whatever the protocol's averaging. As in the
    Depth Pro code, a direction without predicted (true) occlusions has precision (recall) 0.

    ``excluded`` counts images whose truth has no occlusion at the lowest threshold, ``nonfinite`` NaN or infinite
    predictions on valid pixels, as :class:`ImageMeans` explains.

    Args:
        protocol: range, crop and alignment. Its clamp makes edges vanish beyond the range.
        ratios: thresholds on the depth ratio of neighbours, ascending.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: unless 1 < ratios[0] < ratios[1] < ...
    """

    group = "depth_boundary"
    info: ClassVar[Infos] = KEYS

    def __init__(self, protocol: EvalProtocol, ratios: Sequence[float] = RATIOS, **kwargs: Any) -> None:
        super().__init__(protocol, **kwargs)
        if not ratios or any(low >= high for low, high in itertools.pairwise((1.0, *ratios))):
            raise ValueError(f"`ratios` of the depth boundary must ascend from above 1, got {list(ratios)}")
        self.ratios = tuple(ratios)

    def add(self, prepared: Prepared) -> None:
        """Add a prepared batch."""
        values = per_image_depth_boundary(*prepared, self.ratios)
        self.add_images(values, prepared.valid & ~prepared.prediction.isfinite())


def _occlusions(depths: Tensor, valid: Tensor, ratios: Sequence[float]) -> Iterator[Tensor]:
    """(3, B, T) numbers of occlusions in both maps, in the first and in the second, for each of the four directions.

    Args:
        depths: (2, B, 1, H, W) predicted and true depth.
        valid: (B, 1, H, W) bool, the evaluated pixels.
        ratios: the T thresholds, ascending.
    """
    thresholds = depths.new_tensor(ratios)
    for axis in (-1, -2):
        length = depths.shape[axis] - 1
        near, far = depths.narrow(axis, 0, length), depths.narrow(axis, 1, length)
        pair = valid.narrow(axis, 0, length) & valid.narrow(axis, 1, length)
        for ratio in ((far / near).flatten(2), (near / far).flatten(2)):
            # Few pairs are an occlusion in either map: only these are asked for their thresholds.
            image, pixel = ((ratio > ratios[0]).any(0) & pair.flatten(1)).nonzero(as_tuple=True)
            levels = torch.bucketize(ratio[:, image, pixel], thresholds)  # thresholds that the ratio exceeds, (2, N)
            levels = torch.cat([levels.amin(0, keepdim=True), levels])
            yield torch.stack([_exceeding(of_map, image, len(pair), len(ratios)) for of_map in levels])


def _exceeding(levels: Tensor, image: Tensor, images: int, thresholds: int) -> Tensor:
    """(B, T) pairs of each image that exceed each threshold, from the (N,) numbers of thresholds they exceed."""
    histogram = torch.bincount(image * (thresholds + 1) + levels, minlength=images * (thresholds + 1))
    return histogram.view(images, thresholds + 1).flip(1).cumsum(1).flip(1)[:, 1:]
