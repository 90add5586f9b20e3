"""The tests of a claims report, against SciPy's own, tables and counting by hand."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from experiments.judging.claim import Direction
from experiments.judging.seed_statistics import judge, scene_test, seed_interval

HIGHER, LOWER = Direction.higher, Direction.lower


def test_interval_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(0)
    for count in (2, 3, 5, 12):
        first, second = rng.normal(size=(2, count))
        ours = seed_interval(first - second)
        theirs = stats.ttest_rel(first, second).confidence_interval(0.95)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)
        assert ours.mean == pytest.approx(first.mean() - second.mean())


def test_interval_of_three_by_hand():
    """Mean 2, standard deviation 1; the table's quantile for two degrees of freedom is 4.3027."""
    ours = seed_interval([1.0, 2.0, 3.0])
    assert ours.high - ours.mean == pytest.approx(4.3027 / math.sqrt(3), abs=1e-4)
    assert ours.mean - ours.low == pytest.approx(ours.high - ours.mean)


def test_interval_without_spread_or_without_pairs():
    same = seed_interval([0.5, 0.5, 0.5])
    assert (same.mean, same.low, same.high) == (0.5, 0.5, 0.5)
    alone = seed_interval([0.5])
    assert alone.mean == 0.5
    assert math.isnan(alone.low)
    assert math.isnan(seed_interval([]).mean)


@pytest.mark.parametrize(
    ("differences", "direction", "margin", "verdict"),
    [
        ([0.10, 0.11, 0.12], HIGHER, 0.0, "holds"),
        ([0.10, 0.11, 0.12], LOWER, 0.0, "does not hold"),
        ([-0.10, -0.11, -0.12], LOWER, 0.0, "holds"),
        ([-0.10, -0.11, -0.12], HIGHER, 0.0, "does not hold"),
        ([0.10, 0.30, -0.05], HIGHER, 0.0, "undecided"),
        ([0.0, 0.0, 0.0], HIGHER, 0.0, "undecided"),  # equal is neither better nor worse
        ([0.10, 0.11, 0.12], HIGHER, 0.2, "does not hold"),  # better, but by less than is claimed
        ([0.10, 0.11, 0.12], HIGHER, 0.11, "undecided"),
        ([-0.10, -0.11, -0.12], HIGHER, -0.2, "holds"),  # worse, but by less than is allowed
        ([0.10, 0.11, 0.12], LOWER, -0.2, "holds"),
        ([0.10, 0.11, math.nan], HIGHER, 0.0, "undecided"),
        ([0.10, 0.11, math.inf], HIGHER, 0.0, "undecided"),
        ([0.1000, 0.1001], HIGHER, 0.0, "undecided"),  # two seeds
        ([], HIGHER, 0.0, "undecided"),
    ],
)
def test_verdicts(differences, direction, margin, verdict):
    assert judge(differences, direction, margin) == verdict


def test_verdicts_err_as_often_as_the_level_says():
    """Arms that do not differ: of a thousand, each wrong verdict comes up in about 25."""
    rng = np.random.default_rng(1)
    verdicts = [judge(row, HIGHER) for row in rng.normal(size=(2000, 3))]
    for verdict in ("holds", "does not hold"):
        assert verdicts.count(verdict) / len(verdicts) == pytest.approx(0.025, abs=0.011)


def test_scenes_by_counting_all_signs():
    """Wilcoxon: the share of the 2^6 choices of signs whose rank sum is as far out."""
    values = [0.5, -0.1, 0.8, 0.3, 0.9, -0.2]
    ranks = stats.rankdata(np.abs(values))
    expected = ranks.sum() / 2
    seen = abs(sum(ranks[np.array(values) > 0]) - expected)
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product((0, 1), repeat=6)
    ]
    ours = scene_test(values)
    assert ours.scenes == 6
    assert ours.p_value == pytest.approx(np.mean([abs(total - expected) >= seen - 1e-9 for total in sums]))


def test_bootstrap_over_scenes_covers_and_repeats_itself():
    values = np.random.default_rng(2).normal(1.0, 2.0, 60)
    ours = scene_test(values)
    assert ours == scene_test(values)
    assert ours.interval.mean == pytest.approx(values.mean())
    normal = stats.norm.ppf(0.975) * stats.sem(values)
    assert ours.interval.low == pytest.approx(values.mean() - normal, abs=0.15 * normal)
    assert ours.interval.high == pytest.approx(values.mean() + normal, abs=0.15 * normal)


@pytest.mark.parametrize("values", [[], [0.3], [0.0, 0.0, 0.0]])
def test_scenes_without_anything_to_resample(values):
    ours = scene_test(values)
    assert ours.scenes == len(values)
    assert math.isnan(ours.interval.low)
    assert math.isnan(ours.p_value)
