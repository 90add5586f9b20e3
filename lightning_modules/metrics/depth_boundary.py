"""Boundary F1 from depth ratios, which needs no annotation of edges."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_modules.metrics.depth_errors import LOG_FLOOR
from lightning_modules.metrics.image_means import ImageMeans
from lightning_modules.metrics.protocol import EvalProtocol

RATIOS = tuple(torch.linspace(1.05, 1.25, 10, dtype=torch.float64).tolist())
FIGURES = ("depth_boundary_precision", "depth_boundary_recall", "depth_boundary_f1")


def per_image_depth_boundary(
    prediction: Tensor, target: Tensor, valid: Tensor, ratios: Sequence[float] = RATIOS
) -> dict[str, Tensor]:
    """Depth-ratio boundary figures of each image, as :class:`DepthBoundaryF1` defines them.

    Args:
        prediction: (B, 1, H, W) depth, as :meth:`EvalProtocol.prepare` returns it.
        target: (B, 1, H, W) true depth, positive where valid.
        valid: (B, 1, H, W) bool, the evaluated pixels.
        ratios: thresholds, ascending.

    Returns:
        One (B,) tensor per figure; NaN for an image whose truth has no edge at the lowest threshold or with a
        non-finite prediction on a valid pixel.
    """
    finite = (prediction.isfinite() | ~valid).flatten(1).all(1)
    positive = prediction.clamp(min=LOG_FLOOR)  # without a clamp in the protocol it may be zero or negative
    directions = zip(_levels(positive, valid, ratios), _levels(target, valid, ratios), strict=True)
    counts = torch.stack([_counts(predicted, true, len(ratios)) for predicted, true in directions])
    found, predicted, true = counts.to(prediction.dtype).unbind(-1)  # each (4, B, T)
    precision, recall = (found / predicted.clamp(min=1)).mean(0), (found / true.clamp(min=1)).mean(0)
    f1 = 2 * precision * recall / (precision + recall).where(precision + recall > 0, 1.0)
    weights = precision.new_tensor(ratios) / sum(ratios)
    defined = finite & (true[..., 0].sum(0) > 0)
    figures = ((figure @ weights).where(defined, torch.nan) for figure in (precision, recall, f1))
    return dict(zip(FIGURES, figures, strict=True))


class DepthBoundaryF1(ImageMeans):
    """Scale-invariant boundary F1 (Bochkovskii et al. 2024, Depth Pro, section 4).

    A pixel occludes its right neighbour at threshold t if the neighbour is more than t times as deep; likewise left,
    up and down. Precision is the share of predicted occlusions that are true, recall the share of true ones that are
    predicted; both are means over the four directions, and their harmonic mean is F1. Each of
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

    figures = FIGURES

    def __init__(self, protocol: EvalProtocol, ratios: Sequence[float] = RATIOS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not ratios or any(low >= high for low, high in itertools.pairwise((1.0, *ratios))):
            raise ValueError(f"`ratios` of the depth boundary must ascend from above 1, got {list(ratios)}")
        self.protocol = protocol
        self.ratios = tuple(ratios)

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: (B, 1, h, w) depth in metres, at any size and floating dtype.
            target: (B, 1, H, W) true depth in metres.
            valid: (B, 1, H, W) bool, true where the truth is measured.

        Raises:
            ValueError: as :meth:`EvalProtocol.prepare`.
        """
        prediction, target, valid = self.protocol.prepare(prediction, target, valid)
        figures = per_image_depth_boundary(prediction, target, valid, self.ratios)
        self.add_images(figures, valid & ~prediction.isfinite())


def _levels(depth: Tensor, valid: Tensor, ratios: Sequence[float]) -> list[Tensor]:
    """How many thresholds the depth ratio of neighbours exceeds, (B, pairs) uint8, for each of the four directions."""
    thresholds = depth.new_tensor(ratios)
    levels = []
    for axis in (-1, -2):
        length = depth.shape[axis] - 1
        near, far = depth.narrow(axis, 0, length), depth.narrow(axis, 1, length)
        pair = valid.narrow(axis, 0, length) & valid.narrow(axis, 1, length)
        for ratio in (far / near, near / far):
            exceeded = torch.bucketize(ratio.where(pair, 1.0), thresholds, out_int32=True)  # strictly: ratio > t
            levels.append(exceeded.flatten(1).to(torch.uint8))
    return levels


def _counts(predicted: Tensor, true: Tensor, thresholds: int) -> Tensor:
    """(B, T, 3) occlusions at each threshold: predicted and true, predicted, true."""
    maps = torch.stack([torch.minimum(predicted, true), predicted, true], dim=1)
    return torch.stack([(maps > i).sum(2) for i in range(thresholds)], dim=1)
