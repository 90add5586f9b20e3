"""The per-pixel depth errors: deltas, relative, absolute and logarithmic errors."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_modules.metrics.exact_sums import ExactSums, accumulation_dtype
from lightning_modules.metrics.protocol import EvalProtocol

THRESHOLDS = (1.25, 1.25**2, 1.25**3)
FIGURES = ("abs_rel", "sq_rel", "mae", "rmse", "rmse_log", "log10", "silog")  # after the deltas

# Without a clamp a prediction may be zero or negative, where no logarithm exists; MTI-Net's evaluation uses this floor.
LOG_FLOOR = 1e-9


def per_image_depth_errors(
    prediction: Tensor, target: Tensor, valid: Tensor, thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, Tensor]:
    """Depth errors of each image, as :class:`DepthErrors` defines them.

    Args:
        prediction: (B, 1, H, W) depth, as :meth:`EvalProtocol.prepare` returns it.
        target: (B, 1, H, W) true depth, same unit, positive where valid.
        valid: (B, 1, H, W) bool, the evaluated pixels.
        thresholds: of delta1, delta2, ...

    Returns:
        One (B,) tensor per figure; NaN for an image without a valid pixel or with a non-finite prediction on one.
    """
    sums, count = _error_sums(prediction, target, valid, thresholds)
    return _named(_figures(sums / count[:, None]), len(thresholds))


class DepthErrors(ExactSums):
    r"""The per-pixel depth errors under an evaluation protocol (Eigen et al. 2014, section 4.1).

    With prediction :math:`\hat d`, truth :math:`d` and :math:`g = \ln\hat d - \ln d` on the protocol's valid pixels:

    ============  ===========================================================  ======
    ``delta<i>``  share of pixels with max(d^/d, d/d^) < thresholds[i - 1]     higher
    ``abs_rel``   mean \|d^ - d\| / d                                          lower
    ``sq_rel``    mean (d^ - d)^2 / d, metres                                  lower
    ``mae``       mean \|d^ - d\|, metres                                      lower
    ``rmse``      sqrt mean (d^ - d)^2, metres                                 lower
    ``rmse_log``  sqrt mean g^2, natural logarithm                             lower
    ``log10``     mean \|log10 d^ - log10 d\|                                  lower
    ``silog``     100 sqrt(mean g^2 - (mean g)^2)                              lower
    ============  ===========================================================  ======

    ``rmse_log10`` is ``rmse_log`` with the decimal logarithm; papers print either under one name.

    ``excluded`` counts images without a valid pixel: they enter no figure. ``nonfinite`` counts NaN or infinite
    predictions on valid pixels: a single one makes every figure NaN, for nothing is dropped in silence.

    Sums are float64, so the figures do not depend on how images are dealt to batches and processes.

    Args:
        protocol: range, crop, alignment and averaging.
        thresholds: of delta1, delta2, ...
        kwargs: see :class:`torchmetrics.Metric`.
    """

    totals: Tensor
    weight: Tensor
    excluded: Tensor
    nonfinite: Tensor

    def __init__(self, protocol: EvalProtocol, thresholds: Sequence[float] = THRESHOLDS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.protocol = protocol
        self.thresholds = tuple(thresholds)
        self.add_sum("totals", len(self.thresholds) + len(FIGURES))
        self.add_count("weight")
        self.add_count("excluded")
        self.add_count("nonfinite")

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
        sums, count = _error_sums(prediction, target, valid, self.thresholds)
        seen = count > 0
        figures = _figures(sums / count[:, None])
        if self.protocol.averaging == "per_image":
            self.totals += figures.where(seen[:, None], 0.0).sum(0)
            self.weight += seen.sum()
        else:
            self.totals += sums.sum(0)
            self.weight += count.sum()
        self.excluded += (~seen).sum()
        self.nonfinite += (valid & ~prediction.isfinite()).sum()
        self.per_image = _named(figures, len(self.thresholds))

    def compute(self) -> dict[str, Tensor]:
        """The figures of the class docstring, scalars; NaN if no image had a valid pixel."""
        means = self.totals / self.weight
        figures = means if self.protocol.averaging == "per_image" else _figures(means)
        counts = {"excluded": self.excluded.to(means.dtype), "nonfinite": self.nonfinite.to(means.dtype)}
        return _named(figures, len(self.thresholds)) | counts


def _error_sums(
    prediction: Tensor, target: Tensor, valid: Tensor, thresholds: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """(B, T + 7) sums over each image's valid pixels, in the order `_figures` reads them, and (B,) their number."""
    dtype = accumulation_dtype(prediction.device)
    # Invalid pixels become a perfect prediction before any quotient or logarithm: their errors are 0, never 0 x inf.
    prediction, target = prediction.to(dtype).where(valid, 1.0), target.to(dtype).where(valid, 1.0)
    positive = prediction.clamp(min=LOG_FLOOR)
    error, log_error = prediction - target, positive.log() - target.log()
    ratio = torch.maximum(positive / target, target / positive)
    maps = (
        *((ratio < threshold) & valid for threshold in thresholds),
        error.abs() / target,
        error.square() / target,
        error.abs(),
        error.square(),
        log_error.abs(),
        log_error.square(),
        log_error,
    )
    sums = torch.stack([errors.sum((1, 2, 3), dtype=dtype) for errors in maps], dim=1)
    # A comparison turns NaN into a miss: without this the deltas would pass over it.
    finite = prediction.isfinite().all(3).all(2)
    return sums.where(finite, torch.nan), valid.sum((1, 2, 3))


def _figures(means: Tensor) -> Tensor:
    """(..., T + 7) figures, in the order of `FIGURES`, from means over pixels, in the order of `_error_sums`."""
    *deltas, abs_rel, sq_rel, absolute, square, abs_log, square_log, log = means.unbind(-1)
    rmse, rmse_log, log10 = square.sqrt(), square_log.sqrt(), abs_log / math.log(10)
    silog = 100 * (square_log - log.square()).clamp(min=0).sqrt()  # round-off may take a zero variance below 0
    return torch.stack([*deltas, abs_rel, sq_rel, absolute, rmse, rmse_log, log10, silog], dim=-1)


def _named(figures: Tensor, thresholds: int) -> dict[str, Tensor]:
    """Name the last axis of (..., T + 7) figures, and add what follows from one of them."""
    names = (*(f"delta{i}" for i in range(1, thresholds + 1)), *FIGURES)
    named = dict(zip(names, figures.unbind(-1), strict=True))
    return named | {"rmse_log10": named["rmse_log"] / math.log(10)}
