"""Whether predictions are in the unit, and the right way round, for the metrics that are made of them."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.metrics.exact_sums import ExactSums
from lightning_modules.metrics.metric_info import LEFT_OUT, Infos
from lightning_modules.metrics.precision import accumulation_dtype
from lightning_modules.metrics.protocol import EvalProtocol

#: Medians farther apart than this factor are of another unit, not of a bad method.
SUSPECT_FACTOR = 3.0

#: Mean correlation with the truth below which predictions run against it.
AGAINST = -0.5

#: Rows that medians and correlations are taken of, at most: every pixel would cost as much as all errors together. Of
#: images with no more valid pixels than its square, all pixels are looked at.
ROWS = 60

#: What predictions may be that are so many times the truth.
UNITS = {
    1000.0: "millimetres?", 100.0: "centimetres?", 10.0: "decimetres?", 256.0: "steps of 1/256 m?",
    5.0: "steps of 1/5000 m read as millimetres?", 0.256: "steps of 1/256 m read as millimetres?",
    0.1: "centimetres read as millimetres, or depth divided by 10 m?", 0.001: "metres read as millimetres?",
}  # fmt: skip

#: Alignments of a line, whose predictions have no zero.
SHIFTED = ("least_squares", "inverse_least_squares")


class ScaleCheck(ExactSums):
    """Counts and means that tell a wrong unit from a bad method, over images.

    A metric prediction (alignment ``none``) has the truth's median, to a factor of 3. Where an alignment takes the
    scale away nothing is known of the unit; what is known is the sign of the factor that it fits, and whether
    prediction and truth run the same way, which disparity taken for depth does not.

    ``negative`` counts predictions below 0 on valid pixels, where 0 means something; the clamp hides them from errors.

    Args:
        protocol: range, crop and alignment.
    """

    negative: Tensor
    images: Tensor
    turned: Tensor
    log_ratio: Tensor
    with_ratio: Tensor
    correlation: Tensor
    with_correlation: Tensor

    group = "scale"
    reads = "depth"
    info: ClassVar[Infos] = {"negative": LEFT_OUT}

    def __init__(self, protocol: EvalProtocol):
        super().__init__()
        self.protocol = protocol
        for name in ("negative", "images", "turned", "with_ratio", "with_correlation"):
            self.add_count(name)
        for name in ("log_ratio", "correlation"):
            self.add_sum(name)

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add a batch of predictions (B, 1, h, w), truth (B, 1, H, W) and its valid pixels (B, 1, H, W)."""
        dtype = accumulation_dtype(prediction.device)
        valid = self.protocol.evaluated(target, valid)
        if prediction.shape[-2:] != target.shape[-2:]:
            prediction = F.interpolate(prediction.float(), target.shape[-2:], mode="nearest")
        if self.protocol.alignment not in SHIFTED:
            self.negative += (valid & (prediction < 0)).sum()
        sparse = int(valid.sum()) <= len(valid) * ROWS**2  # of a few pixels a part would be left to chance
        step = 1 if sparse else max(1, target.shape[-2] // ROWS)
        maps = (map_[..., ::step, ::step].flatten(1) for map_ in (prediction, target, valid))
        predicted, true, seen = maps
        predicted, true = predicted.to(dtype), true.to(dtype)
        seen = seen & predicted.isfinite()
        ratio = (_median(predicted, seen) / _median(true, seen)).log()  # NaN without a positive median
        self.log_ratio += ratio.where(ratio.isfinite(), 0.0).sum()
        self.with_ratio += ratio.isfinite().sum()
        if self.protocol.alignment == "inverse_least_squares":
            predicted, true = 1 / predicted, 1 / true
            seen = seen & predicted.isfinite()
        correlation = _correlation(predicted, true, seen)
        self.correlation += correlation.where(correlation.isfinite(), 0.0).sum()
        self.with_correlation += correlation.isfinite().sum()
        self.turned += self._turned(predicted, true, seen, correlation).sum()
        self.images += seen.any(1).sum()

    def _turned(self, predicted: Tensor, true: Tensor, seen: Tensor, correlation: Tensor) -> Tensor:
        """(B,) bool, images whose alignment has a negative factor."""
        alignment = self.protocol.alignment
        if alignment in SHIFTED:
            return correlation < 0
        if alignment == "median":
            return _median(predicted, seen) < 0
        if alignment == "scale":
            return (predicted * true).where(seen, 0.0).sum(1) < 0
        return torch.zeros_like(correlation, dtype=torch.bool)

    def compute(self) -> dict[str, Tensor]:
        """Return the count ``negative``; :meth:`remarks` says the rest."""
        return {"negative": self.negative.to(self.log_ratio.dtype)}

    def remarks(self) -> list[str]:
        """Return what is suspicious about the predictions, one line each; call it after the states are synced."""
        said = []
        alignment = self.protocol.alignment
        if alignment == "none" and self.with_ratio:
            factor = math.exp(float(self.log_ratio) / int(self.with_ratio))
            if not 1 / SUSPECT_FACTOR <= factor <= SUSPECT_FACTOR:
                rounded = float(f"{factor:.3g}")
                said.append(
                    f"the median of predictions is about {rounded:g} times the truth's: {_unit(factor)} Depth must be "
                    "in metres (`segdepth evaluate`: `--scale` is the steps a metre of integers, `--inverse` is of "
                    "1/depth)"
                )
        mean = float(self.correlation) / max(int(self.with_correlation), 1)
        inverse = "; inverse depth, for which `--inverse` of `segdepth evaluate` is meant?"
        if self.turned:
            said.append(
                f"the factor of alignment `{alignment}` is negative in {int(self.turned)} of {int(self.images)} "
                f"images: there predictions run against the truth{inverse if 2 * self.turned > self.images else ''}"
            )
        elif mean < AGAINST:
            said.append(f"predictions run against the truth (mean correlation {mean:.2f}){inverse}")
        if self.negative:
            said.append(f"{int(self.negative):,} predictions are negative; a clamp hides that from the metrics")
        return said


def _unit(factor: float) -> str:
    """What a unit so many times too small may be."""
    nearest = min(UNITS, key=lambda known: abs(math.log(known / factor)))
    return UNITS[nearest] if abs(math.log(nearest / factor)) < math.log(1.5) else "another unit?"


def _median(maps: Tensor, mask: Tensor) -> Tensor:
    """(B,) median over masked pixels, NaN where there is none."""
    return maps.where(mask, torch.nan).nanquantile(0.5, dim=1)


def _correlation(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """(B,) Pearson's correlation over masked pixels, NaN where one of the two is constant."""
    count = mask.sum(1, keepdim=True)
    first, second = (
        (maps - maps.where(mask, 0.0).sum(1, keepdim=True) / count).where(mask, 0.0) for maps in (first, second)
    )
    product, *squares = ((a * b).sum(1) for a, b in ((first, second), (first, first), (second, second)))
    flat = torch.stack([square <= 1e-12 * count[:, 0] for square in squares]).any(0)
    return (product / (squares[0] * squares[1]).sqrt()).where(~flat, torch.nan)
