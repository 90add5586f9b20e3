"""Base of metrics that give the depth errors of parts of an image: far pixels, pixels near a border."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_modules.metrics.depth_errors import LOG_FLOOR, THRESHOLDS
from lightning_modules.metrics.exact_sums import ExactSums
from lightning_modules.metrics.protocol import EvalProtocol

#: In the order in which they are summed.
ERRORS = ("abs_rel", "rmse", "delta1")


class SubsetErrors(ExactSums):
    """``abs_rel``, ``rmse`` and ``delta1`` as :class:`DepthErrors` defines them, over disjoint subsets of the pixels.

    With ``averaging: per_image`` a figure is the mean over the images that have pixels of its subset; otherwise the
    pixels of all images are pooled, for of batches many would have none. ``delta_over`` is not read.

    ``excluded`` counts images without a pixel of any subset. ``nonfinite`` counts NaN or infinite predictions on pixels
    of a subset: a single one makes every figure NaN.

    Subclasses name their subsets and call :meth:`add_subsets` from ``update``.

    Args:
        protocol: range, crop, alignment and averaging.
        subsets: their names, which follow the error's: ``rmse_<subset>``.
        errors: which of :data:`ERRORS`.
        kwargs: see :class:`torchmetrics.Metric`.
    """

    totals: Tensor
    weights: Tensor
    excluded: Tensor
    nonfinite: Tensor

    def __init__(
        self, protocol: EvalProtocol, subsets: Sequence[str], errors: Sequence[str] = ERRORS, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.protocol = protocol
        self.subsets = tuple(subsets)
        self.errors = tuple(errors)
        self.add_sum("totals", len(ERRORS), len(self.subsets))
        self.add_sum("weights", len(self.subsets))
        self.add_count("excluded")
        self.add_count("nonfinite")

    def add_subsets(self, prediction: Tensor, target: Tensor, subsets: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: (B, 1, H, W) depth, as :meth:`EvalProtocol.prepare` returns it.
            target: (B, 1, H, W) true depth, same unit, positive where evaluated.
            subsets: (B, H, W) int64, 1 for the first subset; 0 where a pixel is in none, or not evaluated.
        """
        counts, sums, spoilt = self._sums(prediction, target, subsets)
        seen = counts > 0
        figures = _figures(sums / counts).where((spoilt == 0)[:, None], torch.nan)
        if self.protocol.averaging == "per_image":
            self.totals += figures.where(seen, 0.0).sum(1).to(self.totals)
            self.weights += seen.sum(0).to(self.weights)
        else:
            self.totals += sums.sum(1).to(self.totals)
            self.weights += counts.sum(0).to(self.weights)
        self.excluded += (~seen.any(1)).sum()
        self.nonfinite += spoilt.sum()
        self.per_image = self._named(figures)

    def compute(self) -> dict[str, Tensor]:
        """The figures and counts of the class docstring, scalars; NaN if no image had a pixel of the subset."""
        means = self.totals / self.weights
        figures = means if self.protocol.averaging == "per_image" else _figures(means)
        counts = {"excluded": self.excluded.to(means.dtype), "nonfinite": self.nonfinite.to(means.dtype)}
        return self._named(figures.where(self.nonfinite == 0, torch.nan)) | counts

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
            """(B, S) sum in each subset of each image."""
            table = true.new_zeros(columns * len(subsets))
            return table.scatter_add_(0, places, values.to(table)).view(-1, columns)[:, 1:]

        sums = torch.stack([total(values) for values in (relative, error.square_(), hit)])
        spoilt = total(~predicted.isfinite()).sum(1).long()
        return total(torch.ones_like(true)), sums, spoilt

    def _named(self, figures: Tensor) -> dict[str, Tensor]:
        """Name the first and last axis of (3, ..., S) figures; only those that are asked for."""
        return {
            f"{error}_{subset}": figures[ERRORS.index(error), ..., place]
            for place, subset in enumerate(self.subsets)
            for error in self.errors
        }


def _figures(means: Tensor) -> Tensor:
    """(3, ...) figures in the order of `ERRORS`, from means over pixels."""
    relative, square, hits = means
    return torch.stack([relative, square.sqrt(), hits])
