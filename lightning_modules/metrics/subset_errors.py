"""Base of metrics that give the depth errors of parts of an image: far pixels, pixels near a border."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_modules.metrics.depth_errors import LOG_FLOOR, THRESHOLDS
from lightning_modules.metrics.depth_metric import DepthMetric
from lightning_modules.metrics.metric_info import LEFT_OUT_OF_DETAILS, Infos, higher, lower
from lightning_modules.metrics.protocol import EvalProtocol, Prepared

#: In the order in which they are summed.
ERRORS = {"abs_rel": lower(detail=True), "rmse": lower("m", detail=True), "delta1": higher(detail=True)}


class SubsetErrors(DepthMetric):
    """``abs_rel``, ``rmse`` and ``delta1`` as :class:`DepthErrors` defines them, over disjoint subsets of the pixels.

    With ``averaging: per_image`` each is the mean over the images that have pixels of its subset; otherwise the
    pixels of all images are pooled, for of batches many would have none. ``delta_over`` is not read.

    ``excluded`` counts images without a pixel of any subset, ``nonfinite`` NaN or infinite predictions on pixels of a
    subset, as :class:`CountedMeans` explains.

    Subclasses name their subsets and find them in :meth:`subsets_of`.

    Args:
        protocol: range, crop, alignment and averaging.
        subsets: their names, which follow the error's: ``rmse_<subset>``.
        errors: which of :data:`ERRORS`.
        kwargs: see :class:`torchmetrics.Metric`.
    """

    totals: Tensor
    weights: Tensor

    counts: ClassVar[Infos] = {"excluded": LEFT_OUT_OF_DETAILS, "nonfinite": LEFT_OUT_OF_DETAILS}

    def __init__(
        self, protocol: EvalProtocol, subsets: Sequence[str], errors: Sequence[str] = tuple(ERRORS), **kwargs: Any
    ) -> None:
        super().__init__(protocol, **kwargs)
        self.subsets = tuple(subsets)
        self.errors = tuple(errors)
        self.add_sum("totals", len(ERRORS), len(self.subsets))
        self.add_sum("weights", len(self.subsets))

    @abstractmethod
    def subsets_of(self, prepared: Prepared, *truth: Any) -> Tensor:
        """Return (B, H, W) int64, 1 for the first subset; 0 where a pixel is in none, or not evaluated."""

    def add(self, prepared: Prepared, *truth: Tensor) -> None:
        """Add a prepared batch."""
        subsets = self.subsets_of(prepared, *truth)
        counts, sums, spoilt = self._sums(prepared.prediction, prepared.target, subsets)
        seen = counts > 0
        values = _values(sums / counts).where((spoilt == 0)[:, None], torch.nan)
        if self.protocol.averaging == "per_image":
            self.totals += values.where(seen, 0.0).sum(1).to(self.totals)
            self.weights += seen.sum(0).to(self.weights)
        else:
            self.totals += sums.sum(1).to(self.totals)
            self.weights += counts.sum(0).to(self.weights)
        self.excluded += (~seen.any(1)).sum()
        self.nonfinite += spoilt.sum()
        self.per_image = self._named(values)

    def means(self) -> dict[str, Tensor]:
        """Return the errors by key, scalars; NaN if no image had a pixel of the subset."""
        means = self.totals / self.weights
        return self._named(means if self.protocol.averaging == "per_image" else _values(means))

    def _sums(self, prediction: Tensor, target: Tensor, subsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, S) pixels, (3, B, S) sums of relative error, squared error and hits of delta1, (B,) non-finite ones."""
        columns = len(self.subsets) + 1
        images = torch.arange(len(subsets), device=subsets.device)
        places = (subsets + columns * images.view(-1, 1, 1)).flatten()
        inside = subsets.flatten().nonzero().squeeze(1)  # often few, so all else is done with these alone
        places, predicted, true = (map_.flatten()[inside] for map_ in (places, prediction, target))
        positive = predicted.clamp(min=LOG_FLOOR)
        error = (predicted - true).abs_()
        relative = error / (true if self.protocol.relative_to == "truth" else positive)
        hit = torch.maximum(positive / true, true / positive) < THRESHOLDS[0]

        def total(values: Tensor) -> Tensor:
            """Return (B, S) sum in each subset of each image."""
            table = true.new_zeros(columns * len(subsets))
            return table.scatter_add_(0, places, values.to(table)).view(-1, columns)[:, 1:]

        sums = torch.stack([total(values) for values in (relative, error.square_(), hit)])
        spoilt = total(~predicted.isfinite()).sum(1).long()
        return total(torch.ones_like(true)), sums, spoilt

    def _named(self, values: Tensor) -> dict[str, Tensor]:
        """Name the first and last axis of (3, ..., S) errors; only those that are asked for."""
        return {
            f"{error}_{subset}": values[row, ..., place]
            for place, subset in enumerate(self.subsets)
            for row, error in enumerate(ERRORS)
            if error in self.errors
        }


def _values(means: Tensor) -> Tensor:
    """Return (3, ...) errors in the order of `ERRORS`, from means over pixels."""
    relative, square, hits = means
    return torch.stack([relative, square.sqrt(), hits])
