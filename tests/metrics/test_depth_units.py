"""Depth errors in metres and in units."""

import numpy as np
import pytest
import torch

from lightning_modules.evaluation import Evaluation, EvaluationOptions
from lightning_modules.metrics import DepthErrors, DepthErrorsInUnits, EvalProtocol
from lightning_modules.prediction import Prediction


def protocol(**options):
    return EvalProtocol("test", min_depth=1e-3, max_depth=10.0, clamp=False, **options)


def maps():
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 9, (3, 1, 8, 9))
    prediction = truth * rng.uniform(0.7, 1.4, truth.shape)
    return tuple(map(torch.from_numpy, (prediction, truth, rng.random(truth.shape) < 0.8)))


@pytest.mark.parametrize("unit", [1.0, 10.0])
@pytest.mark.parametrize("averaging", ["per_image", "pooled"])
def test_both_are_given_whatever_the_protocols_unit(unit, averaging):
    metres, measured = DepthErrors(protocol(averaging=averaging)), DepthErrorsInUnits(protocol(unit=unit), 10.0)
    measured.protocol = protocol(averaging=averaging)
    for metric in (metres, measured):
        for part in (slice(0, 2), slice(2, 3)):
            metric.update(*(map_[part] for map_ in maps()))
    expected, figures = metres.compute(), measured.compute()
    assert set(figures) == {"mae_m", "rmse_m", "mae_unit", "rmse_unit"}
    for name in ("mae", "rmse"):
        torch.testing.assert_close(figures[f"{name}_m"], expected[name])
        torch.testing.assert_close(figures[f"{name}_unit"], expected[name] / 10)


def test_they_are_of_each_image_too():
    prediction, truth, valid = maps()
    metric = DepthErrorsInUnits(protocol(unit=10.0), 10.0)
    metric.update(prediction, truth, valid)
    error = (prediction - truth).abs()
    for i in range(3):
        assert metric.per_image["mae_m"][i].item() == pytest.approx(error[i][valid[i]].mean().item())
        assert metric.per_image["mae_unit"][i].item() == pytest.approx(error[i][valid[i]].mean().item() / 10)


def test_an_evaluation_has_them_on_demand():
    prediction, truth, valid = maps()
    batch = {"depth": truth, "valid": valid, "intrinsics": torch.eye(3).expand(3, 3, 3)}
    for unit in (None, 10.0):
        evaluation = Evaluation(protocol(), EvaluationOptions(unit={"unit": unit}, groups=("depth", "unit")))
        evaluation.update(Prediction(depth=prediction), batch)
        figures = evaluation.compute()
        assert ("mae_unit" in figures) == (unit is not None)
        if unit:
            assert figures["mae_unit"].item() == pytest.approx(figures["mae"].item() / 10)


def test_a_unit_is_positive():
    with pytest.raises(ValueError, match=r"`evaluation.unit.unit`"):
        DepthErrorsInUnits(protocol(), 0.0)
