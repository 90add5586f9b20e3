"""Metrics and losses of a few hundred pixels a frame, against sums over just these pixels."""

import numpy as np
import pytest
import torch

from lightning_modules.losses import BerHuLoss, L1Loss, SILogLoss, StructuredDepthLoss
from lightning_modules.metrics import DepthErrors, EvalProtocol, RangeErrors
from lightning_modules.metrics.scale_check import ScaleCheck

PROTOCOL = EvalProtocol("plain", min_depth=0.5, max_depth=9.0)


@pytest.fixture
def sparse():
    """Prediction, truth and valid pixels (3, 1, 120, 160): 300, 200 and no pixels measured; garbage elsewhere."""
    random = torch.Generator().manual_seed(0)
    prediction = 1 + 7 * torch.rand(3, 1, 120, 160, generator=random)
    target = torch.full((3, 1, 120, 160), torch.nan)
    valid = torch.zeros(3, 1, 120, 160, dtype=torch.bool)
    for image, count in enumerate((300, 200)):
        places = torch.randperm(120 * 160, generator=random)[:count]
        valid[image].view(-1)[places] = True
    target[valid] = (prediction[valid] * (0.7 + 0.6 * torch.rand(500, generator=random))).clamp(0.6, 8.9)
    return prediction, target, valid


def pairs(sparse):
    """Prediction and truth of the measured pixels of each image that has some."""
    prediction, target, valid = (maps[:, 0].numpy() for maps in sparse)
    return [
        (p[v].astype(np.float64), t[v].astype(np.float64)) for p, t, v in zip(prediction, target, valid, strict=True)
    ][:2]


def test_depth_errors(sparse):
    metric = DepthErrors(PROTOCOL)
    metric.update(*sparse)
    found = metric.compute()
    each = pairs(sparse)
    expected = {
        "abs_rel": [np.mean(np.abs(p - t) / t) for p, t in each],
        "rmse": [np.sqrt(np.mean((p - t) ** 2)) for p, t in each],
        "silog": [100 * np.std(np.log(p) - np.log(t)) for p, t in each],
        "delta1": [np.mean(np.maximum(p / t, t / p) < 1.25) for p, t in each],
    }
    for name, values in expected.items():
        assert float(found[name]) == pytest.approx(np.mean(values), rel=1e-6), name


@pytest.mark.parametrize("alignment", ["median", "scale", "least_squares"])
def test_alignment_goes_by_the_measured_pixels(sparse, alignment):
    metric = DepthErrors(EvalProtocol("plain", 0.5, 9.0, alignment=alignment, clamp=False))
    metric.update(*sparse)
    values = []
    for p, t in pairs(sparse):
        if alignment == "median":
            p = p * np.median(t) / np.median(p)
        elif alignment == "scale":
            p = p * np.linalg.lstsq(p[:, None], t, rcond=None)[0]
        else:
            design = np.column_stack([p, np.ones_like(p)])
            p = design @ np.linalg.lstsq(design, t, rcond=None)[0]
        values.append(np.sqrt(np.mean((p - t) ** 2)))
    assert float(metric.compute()["rmse"]) == pytest.approx(np.mean(values), rel=1e-6)


def test_errors_by_range(sparse):
    metric = RangeErrors(PROTOCOL, edges=(4.0,))
    metric.update(*sparse)
    assert all(torch.isfinite(value) for value in metric.compute().values())


def test_the_unit_is_told_by_all_pixels(sparse):
    """Every second row and column of a few hundred pixels would leave the sign of a factor to chance."""
    prediction, target, valid = sparse
    check = ScaleCheck(EvalProtocol("plain", 0.5, 9.0, alignment="least_squares"))
    check.update(prediction, target, valid)
    correlations = [np.corrcoef(p, t)[0, 1] for p, t in pairs(sparse)]
    assert int(check.images) == 2
    assert float(check.correlation) == pytest.approx(sum(correlations), rel=1e-6)
    assert check.remarks() == []


def test_losses(sparse):
    prediction, target, valid = (maps.double() if maps.is_floating_point() else maps for maps in sparse)
    p, t = (np.concatenate(values) for values in zip(*pairs(sparse), strict=True))
    error = np.abs(p - t)
    assert L1Loss()(prediction, target, valid).item() == pytest.approx(error.mean(), rel=1e-6)
    log = np.log(p) - np.log(t)
    silog = np.sqrt(np.mean(log**2) - 0.5 * np.mean(log) ** 2)
    assert SILogLoss(lam=0.5)(prediction, target, valid).item() == pytest.approx(silog, rel=1e-6)
    c = 0.2 * error.max()
    berhu = np.where(error <= c, error, (error**2 + c**2) / (2 * c)).mean()
    assert BerHuLoss()(prediction, target, valid).item() == pytest.approx(berhu, rel=1e-6)
    structured = StructuredDepthLoss(alpha=1, beta=1, gamma=0, unit=1)
    residual, slopes = (prediction - target)[:, 0].numpy(), 0.0
    seen = valid[:, 0].numpy()
    for axis in (1, 2):
        both = np.take(seen, range(1, seen.shape[axis]), axis) & np.take(seen, range(seen.shape[axis] - 1), axis)
        slopes += np.abs(np.diff(residual, axis=axis))[both].mean() if both.any() else 0.0
    assert structured(prediction, target, valid).item() == pytest.approx(error.mean() + slopes, rel=1e-6)
