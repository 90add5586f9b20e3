"""The arithmetic behind guided MTI-Net's published metrics: errors that given deltas allow."""

import numpy as np
import pytest

from benchmarks.mti_net_units import UNITS, depth_metrics, least_wrong, published

DELTAS = (0.41, 0.67, 0.81)


@pytest.fixture(scope="module")
def depth():
    return np.random.default_rng(0).gamma(6.0, 0.45, 20_000).clip(0.5, 9.9)  # indoor depth: 2.7 m on average


@pytest.mark.parametrize("nearest", [True, False])
def test_the_deltas_are_the_given_ones(depth, nearest):
    found = depth_metrics(least_wrong(depth, DELTAS, nearest=nearest), depth)
    assert [found[f"delta{i}"] for i in (1, 2, 3)] == pytest.approx(DELTAS, abs=1e-4)


def test_no_prediction_with_these_deltas_errs_less(depth):
    """Against random predictions of the same deltas: ratios beyond each threshold, up or down, anywhere."""
    least = depth_metrics(least_wrong(depth, DELTAS, nearest=True), depth)
    anywhere = depth_metrics(least_wrong(depth, DELTAS, nearest=False), depth)
    assert least["mae"] < anywhere["mae"]
    rng = np.random.default_rng(1)
    for spread in (0.0, 0.3, 1.0):
        step = np.searchsorted(np.array(DELTAS), rng.random(len(depth)), side="right")
        ratio = 1.25 ** (step + spread * rng.random(len(depth)) * (step > 0))
        found = depth_metrics(depth * ratio ** rng.choice([-1, 1], len(depth)), depth)
        assert [found[f"delta{i}"] for i in (1, 2, 3)] == pytest.approx(DELTAS, abs=0.02)
        assert found["mae"] > least["mae"]
        assert found["rmse"] > least["rmse"]


def test_units_of_ten_metres_need_the_most_favourable_of_all_errors(depth):
    """Wrong pixels anywhere cost more than was published; in 8-bit values divided by 1000 there is room for them."""
    paper = published()
    deltas = [paper[f"delta{i}"] for i in (1, 2, 3)]
    anywhere = depth_metrics(least_wrong(depth, deltas, nearest=False), depth)
    assert anywhere["mae"] / UNITS["of 10 m"] > 1.4 * paper["mae_unit"]
    assert anywhere["mae"] / UNITS["8 bit / 1000"] < paper["mae_unit"]
    assert paper["mae_unit"] * UNITS["8 bit / 1000"] == pytest.approx(1.27, abs=0.01)
    assert paper["rmse_unit"] * UNITS["8 bit / 1000"] == pytest.approx(1.63, abs=0.01)


def test_published_metrics_are_read_from_the_table():
    assert published()["rmse_unit"] == 0.0416
