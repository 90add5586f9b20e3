"""How a claims report and its figure write numbers."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from experiments.judging.seed_statistics import Interval
from experiments.results.table_layout import MINUS, NEVER


def number(value: float) -> str:
    """A figure; a dash for one that is not there."""
    return f"{value:.4f}".replace("-", MINUS) if math.isfinite(value) else NEVER


def signed(value: float) -> str:
    """A difference, with its sign."""
    return f"{value:+.4f}".replace("-", MINUS) if math.isfinite(value) else NEVER


def spread(values: Sequence[float], write: Callable[[float], str] = number) -> str:
    """Mean and standard deviation of the figures that are there.

    Args:
        values: figures; those that are not finite are left out.
        write: writes the mean: :func:`number`, or :func:`signed` for differences.
    """
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return NEVER
    text = write(float(np.mean(known)))
    return f"{text} ± {np.std(known, ddof=1):.4f}" if len(known) > 1 else text


def interval_text(interval: Interval) -> str:
    """``+0.0100 [-0.0200, +0.0400]``."""
    if math.isnan(interval.low):
        return signed(interval.mean)
    return f"{signed(interval.mean)} [{signed(interval.low)}, {signed(interval.high)}]"
