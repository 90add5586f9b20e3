"""The per-pixel depth errors: deltas, relative, absolute and logarithmic errors."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch import distributed as dist
from torch.linalg import vecdot, vector_norm
from torchmetrics.utilities.data import dim_zero_cat

from lightning_modules.metrics.depth_metric import DepthMetric
from lightning_modules.metrics.metric_info import Infos, higher, lower
from lightning_modules.metrics.precision import accumulation_dtype
from lightning_modules.metrics.protocol import EvalProtocol, Prepared

THRESHOLDS = (1.25, 1.25**2, 1.25**3)

#: Errors after the deltas, by key.
ERRORS = {
    "abs_rel": lower(), "sq_rel": lower("m"), "mae": lower("m"), "rmse": lower("m"), "rmse_log": lower(),
    "log10": lower(), "silog": lower(),
}  # fmt: skip

#: All of them at the usual thresholds.
KEYS = (*(f"delta{i}" for i in range(1, len(THRESHOLDS) + 1)), *ERRORS, "rmse_log10")

# Without a clamp a prediction may be zero or negative, where no logarithm exists; MTI-Net's evaluation uses this floor.
LOG_FLOOR = 1e-9


def per_image_depth_errors(
    prediction: Tensor, target: Tensor, valid: Tensor, thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, Tensor]:
    """Return depth errors of each image, as :class:`DepthErrors` defines them.

    Args:
        prediction: (B, 1, H, W) depth, as :meth:`EvalProtocol.prepare` returns it.
        target: (B, 1, H, W) true depth, same unit, positive where valid.
        valid: (B, 1, H, W) bool, the evaluated pixels.
        thresholds: of delta1, delta2, ...

    Returns:
        One (B,) tensor a metric; NaN for an image without a valid pixel or with a non-finite prediction on one.
    """
    sums, count = _error_sums(prediction, target, valid, thresholds)
    return _named(_values(sums / count[:, None]), len(thresholds))


class DepthErrors(DepthMetric):
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
    A protocol may divide the relative errors by the prediction, and take the deltas over all pixels of the window.

    ``excluded`` counts images without a valid pixel, ``nonfinite`` NaN or infinite predictions on valid pixels, as
    :class:`CountedMeans` explains.

    Sums are float64, so the values do not depend on how images are dealt to batches and processes.

    Args:
        protocol: range, crop, alignment and averaging.
        thresholds: of delta1, delta2, ...
        kwargs: see :class:`torchmetrics.Metric`.
    """

    totals: Tensor
    weight: Tensor
    batch_sums: list[Tensor]
    batch_weights: list[Tensor]
    positions: list[Tensor]

    group = "depth"
    info: ClassVar[Infos] = {"delta{i}": higher(), **ERRORS, "rmse_log10": lower()}

    def __init__(self, protocol: EvalProtocol, thresholds: Sequence[float] = THRESHOLDS, **kwargs: Any) -> None:
        super().__init__(protocol, **kwargs)
        self.thresholds = tuple(thresholds)
        self.add_sum("totals", len(self.thresholds) + len(ERRORS))
        self.add_count("weight", len(self.totals))
        if protocol.averaging == "batches":
            for name in ("batch_sums", "batch_weights", "positions"):  # one row an image
                self.add_state(name, [], dist_reduce_fx="cat")

    @classmethod
    def public_name(cls, key: str) -> str:
        """Return the key itself: the counts of the depth errors have no prefix."""
        return key

    def add(self, prepared: Prepared) -> None:
        """Add a prepared batch."""
        prediction, target, valid = prepared
        sums, count = _error_sums(prediction, target, valid, self.thresholds, self.protocol.relative_to)
        seen = count > 0
        weights = count[:, None].expand(sums.shape).clone()
        if self.protocol.delta_over == "all":
            weights[:, : len(self.thresholds)] = self.protocol.window(target).sum()
        values = _values(sums / weights)
        if self.protocol.averaging == "per_image":
            self.totals += values.where(seen[:, None], 0.0).sum(0)
            self.weight += seen.sum()
        elif self.protocol.averaging == "pooled":
            self.totals += sums.sum(0)
            self.weight += weights.sum(0)
        else:
            self._keep(sums, weights)
        self.excluded += (~seen).sum()
        self.nonfinite += prediction.isnan().logical_and_(valid).count_nonzero()
        self.per_image = _named(values.where(seen[:, None], torch.nan), len(self.thresholds))

    def _keep(self, sums: Tensor, weights: Tensor) -> None:
        """Keep images apart, with their places in the data set, of which processes take turns."""
        distributed = dist.is_available() and dist.is_initialized()
        rank, world = (dist.get_rank(), dist.get_world_size()) if distributed else (0, 1)
        first = sum(len(part) for part in self.positions)
        self.positions.append(rank + world * torch.arange(first, first + len(sums), device=sums.device))
        self.batch_sums.append(sums)
        self.batch_weights.append(weights)

    def means(self) -> dict[str, Tensor]:
        """Return the metrics of the class docstring, scalars; NaN if no image had a valid pixel."""
        if self.protocol.averaging == "batches":
            values = self._mean_of_batches()
        else:
            means = self.totals / self.weight
            values = means if self.protocol.averaging == "per_image" else _values(means)
        return _named(values, len(self.thresholds))

    def _mean_of_batches(self) -> Tensor:
        """(T + 7) values, pooled over the pixels of each batch; a batch without a valid pixel is left out."""
        order = dim_zero_cat(self.positions).argsort()
        size = self.protocol.images_per_batch
        sums, weights = (dim_zero_cat(part)[order].split(size) for part in (self.batch_sums, self.batch_weights))
        batches = [_values(s.sum(0) / w.sum(0)) for s, w in zip(sums, weights, strict=True) if w[:, -1].any()]
        return torch.stack(batches).mean(0) if batches else torch.full_like(self.totals, torch.nan)


def _error_sums(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor,
    thresholds: Sequence[float],
    relative_to: Literal["truth", "prediction"] = "truth",
) -> tuple[Tensor, Tensor]:
    """(B, T + 7) sums over each image's valid pixels, in the order `_values` reads them, and (B,) their number."""
    # Gathering costs less than it saves on the CPU, and has to wait for the number of pixels on any other device.
    way = _gathered_sums if prediction.device.type == "cpu" else _masked_sums
    return way(prediction, target, valid, tuple(thresholds), relative_to), valid.flatten(1).count_nonzero(1)


def _gathered_sums(prediction: Tensor, target: Tensor, valid: Tensor, *options: Any) -> Tensor:
    """(B, T + 7) sums, from the valid pixels of one image after the other."""
    images = zip(prediction, target, valid, strict=True)
    return torch.stack([_sums(_gathered(p, seen), _gathered(t, seen), *options) for p, t, seen in images])


def _masked_sums(prediction: Tensor, target: Tensor, valid: Tensor, *options: Any) -> Tensor:
    """(B, T + 7) sums, from all pixels of all images at a time."""
    # Invalid pixels become a perfect prediction before any quotient or logarithm: their errors are 0, never 0 x inf.
    ones = [maps.where(valid, 1.0).flatten(1) for maps in (prediction, target)]
    sums = _sums(ones[0], ones[1], *options)
    sums[:, : len(options[0])] -= valid.flatten(1).logical_not().count_nonzero(1)[:, None]
    return sums


def _gathered(map_: Tensor, mask: Tensor) -> Tensor:
    """(N,) copy of the masked pixels of a map on the CPU: NumPy's way takes a third of the time of torch's."""
    return torch.from_numpy(map_.detach().numpy()[mask.numpy()])


def _sums(
    prediction: Tensor, target: Tensor, thresholds: Sequence[float], relative_to: Literal["truth", "prediction"]
) -> Tensor:
    """(..., T + 7) sums over the last axis of depth and truth (..., N), in the order `_values` reads them.

    Both are overwritten: fresh memory would cost more than the arithmetic.
    """
    dtype = accumulation_dtype(prediction.device)
    prediction, target = prediction.to(dtype), target.to(dtype)
    error = prediction - target
    positive = prediction.clamp_(min=LOG_FLOOR)
    relative = error / positive if relative_to == "prediction" else None
    ratio = positive.div_(target)
    if relative is None:
        relative = torch.div(error, target, out=target)
    hits = [((ratio < threshold) & (ratio > 1 / threshold)).count_nonzero(-1) for threshold in thresholds]
    log = ratio.log_()
    sums = [
        vector_norm(relative, 1, -1),
        vecdot(error, relative),
        vector_norm(error, 1, -1),
        vecdot(error, error),
        vector_norm(log, 1, -1),
        vecdot(log, log),
        log.sum(-1),
    ]
    finite = sums[0].isfinite()[..., None]  # a comparison turns NaN into a miss: the deltas would pass over it
    return torch.stack([*hits, *sums], dim=-1).where(finite, torch.nan)


def _values(means: Tensor) -> Tensor:
    """(..., T + 7) values, in the order of `ERRORS`, from means over pixels, in the order of `_error_sums`."""
    *deltas, abs_rel, sq_rel, absolute, square, abs_log, square_log, log = means.unbind(-1)
    rmse, rmse_log, log10 = square.sqrt(), square_log.sqrt(), abs_log / math.log(10)
    silog = 100 * (square_log - log.square()).clamp(min=0).sqrt()  # round-off may take a zero variance below 0
    return torch.stack([*deltas, abs_rel, sq_rel, absolute, rmse, rmse_log, log10, silog], dim=-1)


def _named(values: Tensor, thresholds: int) -> dict[str, Tensor]:
    """Name the last axis of (..., T + 7) values, and add what follows from one of them."""
    names = (*(f"delta{i}" for i in range(1, thresholds + 1)), *ERRORS)
    named = dict(zip(names, values.unbind(-1), strict=True))
    return named | {"rmse_log10": named["rmse_log"] / math.log(10)}
