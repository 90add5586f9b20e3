"""Errors of the surest pixels: against a direct computation pixel by pixel, and where the answer is known."""

import math
import random

import numpy as np
import pytest
import torch

from lightning_modules.metrics import EvalProtocol, Sparsification
from tests.helpers.metric_tester import MetricTester

PROTOCOL = EvalProtocol("plain", min_depth=0.1, max_depth=10.0)
KEEP = (0.8, 0.3)


def inputs(images=7, size=(9, 13), seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (images, 1, *size)
    target = 1 + 5 * torch.rand(shape, generator=generator, dtype=torch.float64)
    prediction = (target * (0.3 * torch.randn(shape, generator=generator)).exp()).clamp(0.2, 9)
    valid = torch.rand(shape, generator=generator) < 0.8
    valid[3] = False
    return prediction, target, valid, torch.rand(shape, generator=generator)


def direct(prediction, target, valid, uncertainty, keep=KEEP):
    """The values of one image, all maps (H, W): every curve point from the list of its pixels."""
    depth, true, unsure = (map_[valid].double().numpy() for map_ in (prediction, target, uncertainty))
    n = len(true)
    relative, absolute = np.abs(depth - true) / true, np.abs(depth - true)

    def curve(order, error):
        return [error(order[:m]) for m in range(1, n + 1)]

    values = {}
    for name, error, own in (
        ("abs_rel", lambda kept: relative[kept].mean(), relative),
        ("rmse", lambda kept: math.sqrt((absolute[kept] ** 2).mean()), absolute),
    ):
        e, o = curve(np.argsort(unsure), error), curve(np.argsort(own), error)
        values[f"ause_{name}"] = sum(a - b for a, b in zip(e, o, strict=True)) / n
        values[f"aurg_{name}"] = sum(e[-1] - a for a in e) / n
        values[f"ause_{name}_normalized"] = values[f"ause_{name}"] / e[-1]
        for share in keep:
            values[f"sparsified_{name}@{share:g}"] = e[max(1, round(share * n)) - 1]
    return values


class TestSparsification(MetricTester):
    averages_images = True

    def make(self):
        return Sparsification(PROTOCOL, KEEP)

    def inputs(self):
        return inputs()

    def reference(self, prediction, target, valid, uncertainty):
        images = [
            direct(*(part[0] for part in image))
            for image in zip(prediction, target, valid, uncertainty, strict=True)
            if image[2].any()
        ]
        means = {name: float(np.mean([image[name] for image in images])) for name in images[0]}
        return means | {"excluded": float(len(prediction) - len(images)), "nonfinite": 0.0}


def values(prediction, target, uncertainty, **options):
    maps = (torch.as_tensor(map_, dtype=torch.float64).view(1, 1, 1, -1) for map_ in (prediction, target, uncertainty))
    prediction, target, uncertainty = maps
    metric = Sparsification(PROTOCOL, **options)
    metric.update(prediction, target, torch.ones_like(target, dtype=torch.bool), uncertainty)
    return {name: float(value) for name, value in metric.compute().items()}


def test_by_hand():
    """Errors 0.1, 0.4 and 0.1 m at 1, 2 and 1 m; the second is the least certain, but for the third."""
    found = values([1.1, 2.4, 1.1], [1, 2, 1], [0, 1, 2], keep=(1 / 3, 2 / 3, 1))
    assert found["sparsified_abs_rel@0.333333"] == pytest.approx(0.1)
    assert found["sparsified_abs_rel@0.666667"] == pytest.approx(0.15)
    assert found["sparsified_abs_rel@1"] == pytest.approx(0.4 / 3)
    assert found["sparsified_rmse@0.666667"] == pytest.approx(math.sqrt(0.17 / 2))
    assert found["ause_abs_rel"] == pytest.approx((0 + 0.05 + 0) / 3)
    assert found["aurg_abs_rel"] == pytest.approx((0.4 / 3 - 0.1 + 0.4 / 3 - 0.15) / 3)
    assert found["ause_abs_rel_normalized"] == pytest.approx(0.05 / 3 / (0.4 / 3))


def test_the_order_of_the_errors_has_no_error_and_the_opposite_one_misleads():
    prediction, target, *_ = (part[0].flatten() for part in inputs())
    for base, error in (("rmse", (prediction - target).abs()), ("abs_rel", (prediction - target).abs() / target)):
        perfect, opposite = values(prediction, target, error), values(prediction, target, -error)
        assert perfect[f"ause_{base}"] == pytest.approx(0, abs=1e-15)
        assert perfect[f"aurg_{base}"] > 0 > opposite[f"aurg_{base}"]
        assert opposite[f"ause_{base}_normalized"] > 0.5


def test_a_constant_uncertainty_gains_nothing():
    prediction, target, *_ = (part[0].flatten() for part in inputs())
    found = values(prediction, target, torch.full_like(target, 0.3), keep=(0.1, 1))
    for base in ("abs_rel", "rmse"):
        assert found[f"aurg_{base}"] == pytest.approx(0, abs=1e-12)
        assert found[f"sparsified_{base}@0.1"] == pytest.approx(found[f"sparsified_{base}@1"])


def test_equal_uncertainties_count_as_the_mean_of_all_orders():
    """Two kinds of pixels, shuffled: over many orders the relative error of the kept comes to the value found."""
    random.seed(0)
    errors, unsure = [0.1, 0.3, 0.2, 0.5, 0.05], [0, 0, 1, 1, 1]
    found = values([1 + error for error in errors], [1] * 5, unsure, keep=(0.6,))
    kept = []
    for _ in range(20_000):
        order = sorted(range(5), key=lambda place: (unsure[place], random.random()))
        kept.append(sum(errors[place] for place in order[:3]) / 3)
    assert found["sparsified_abs_rel@0.6"] == pytest.approx(float(np.mean(kept)), abs=2e-3)


def test_no_error_at_all_is_no_division_by_zero():
    found = values([1, 2, 3], [1, 2, 3], [3, 1, 2])
    assert all(value == 0 for value in found.values())


def test_only_the_order_counts():
    prediction, target, _, unsure = (part[0].flatten() for part in inputs())
    assert values(prediction, target, unsure) == values(prediction, target, (20 * unsure).exp())


def test_a_smaller_uncertainty_is_resized_as_depth_is():
    prediction, target, valid, _ = inputs(size=(8, 12))
    small = inputs(size=(4, 6), seed=1)[3]
    large = torch.nn.functional.interpolate(small.double(), (8, 12), mode="bilinear", align_corners=False)
    resized, given = Sparsification(PROTOCOL), Sparsification(PROTOCOL)
    resized.update(prediction, target, valid, small)
    given.update(prediction, target, valid, large)
    assert resized.compute() == given.compute()


def test_an_uncertainty_that_is_not_finite_is_counted():
    prediction, target, valid, unsure = inputs()
    unsure[0, 0][valid[0, 0].nonzero(as_tuple=True)[0][0], valid[0, 0].nonzero(as_tuple=True)[1][0]] = torch.nan
    metric = Sparsification(PROTOCOL)
    metric.update(prediction, target, valid, unsure)
    assert metric.compute()["nonfinite"] == 1
    assert metric.compute()["ause_rmse"].isnan()


def test_relative_errors_are_those_of_the_protocol():
    found = []
    for relative_to in ("truth", "prediction"):
        protocol = EvalProtocol("plain", 0.1, 10.0, relative_to=relative_to)
        metric = Sparsification(protocol, (1,))
        metric.update(*(torch.full((1, 1, 2, 2), value) for value in (1.5, 1.0)), torch.ones(1, 1, 2, 2).bool(),
                      torch.rand(1, 1, 2, 2))  # fmt: skip
        found.append(float(metric.compute()["sparsified_abs_rel@1"]))
    assert found == pytest.approx([0.5, 0.5 / 1.5])


@pytest.mark.parametrize("keep", [(0.0,), (0.5, 1.1)])
def test_shares_that_are_none(keep):
    with pytest.raises(ValueError, match=r"`uncertainty\.keep`"):
        Sparsification(PROTOCOL, keep)


def test_a_map_of_other_images():
    prediction, target, valid, unsure = inputs()
    with pytest.raises(ValueError, match="7 images"):
        Sparsification(PROTOCOL).update(prediction, target, valid, unsure[:2])


def test_fifty_steps_of_two_per_cent_come_close():
    """As Poggi et al. sample the curves: by percentiles, trapezoids between them, and 0 where no pixel is left."""
    prediction, target, *_ = (part[0].flatten() for part in inputs(4, (150, 200)))
    error = (prediction - target).abs()
    unsure = error * torch.rand(len(error), generator=torch.Generator().manual_seed(2))
    steps = np.arange(50) / 50

    def curve(order):
        return [float(error[order <= np.quantile(order, 1 - step)].square().mean().sqrt()) for step in steps] + [0.0]

    difference = np.subtract(curve(unsure.numpy()), curve(error.numpy()))
    assert values(prediction, target, unsure)["ause_rmse"] == pytest.approx(
        float(np.trapezoid(difference, np.append(steps, 1))), rel=0.03
    )
