"""Two tests of a difference: over trainings, which decides, and over the scenes of those trainings, which does not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from experiments.judging.claim import FEWEST_SEEDS, Direction

#: Confidence level of all intervals.
CONFIDENCE = 0.95

#: Number of bootstrap resamples.
RESAMPLES = 9999

Verdict = Literal["holds", "does not hold", "undecided"]


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval from ``low`` to ``high``; these are NaN where there is none."""

    mean: float
    low: float
    high: float

    def improvement(self, direction: Direction) -> "Interval":
        """Return the same interval with positive for better."""
        if direction is Direction.higher:
            return self
        return Interval(-self.mean, -self.high, -self.low)


@dataclass(frozen=True)
class SceneTest:
    """Differences on single scenes, averaged over seeds.

    Attributes:
        scenes: number of scenes.
        interval: interval of the mean over scenes, by the bias-corrected and accelerated bootstrap.
        p_value: of Wilcoxon's signed-rank test, two-sided; NaN if no scene differs.
    """

    scenes: int
    interval: Interval
    p_value: float


def seed_interval(differences: Sequence[float]) -> Interval:
    """Return Student's 95 % interval of the mean of paired differences, one per seed.

    With three seeds it reaches 2.48 standard deviations to either side. It takes the differences to be normal, which
    three values cannot contradict.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return Interval(float(values.mean()) if len(values) else math.nan, math.nan, math.nan)
    mean = float(values.mean())
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * stats.sem(values))
    return Interval(mean, mean - reach, mean + reach)


def judge(differences: Sequence[float], direction: Direction, margin: float = 0.0) -> Verdict:
    """Judge whether a claimed difference is there.

    It holds if the interval of :func:`seed_interval` lies wholly on the claimed side of the margin, does not hold if it
    lies wholly on the other, and is undecided else, with fewer than three seeds, or with one that is not finite.

    Args:
        differences: claimed arm's value minus the other's, one per seed.
        direction: whether lower or higher is better.
        margin: by how much it has to be better, in the metric's unit.
    """
    if len(differences) < FEWEST_SEEDS or not np.isfinite(differences).all():
        return "undecided"
    better = seed_interval(differences).improvement(direction)
    if better.low > margin:
        return "holds"
    return "does not hold" if better.high < margin else "undecided"


def scene_test(differences: Sequence[float]) -> SceneTest:
    """Run bootstrap and Wilcoxon's test over scenes; frames of one scene are alike, so they are no independent sample.

    Args:
        differences: one per scene, finite.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2 or np.ptp(values) == 0:  # nothing to resample
        mean = float(values.mean()) if len(values) else math.nan
        return SceneTest(len(values), Interval(mean, math.nan, math.nan), math.nan)
    drawn = stats.bootstrap(
        (values,), np.mean, confidence_level=CONFIDENCE, n_resamples=RESAMPLES, rng=np.random.default_rng(0)
    )
    bounds = drawn.confidence_interval
    p_value = stats.wilcoxon(values).pvalue
    return SceneTest(len(values), Interval(float(values.mean()), float(bounds.low), float(bounds.high)), float(p_value))
