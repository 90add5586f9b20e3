"""l1 and BerHu against the printed equations in NumPy, and their slopes."""

import numpy as np
import pytest
import torch

from lightning_modules.losses import BerHuLoss, L1Loss
from lightning_modules.losses.absolute import berhu

EVERY_BERHU = [(threshold, scope) for threshold in ("max_residual", "max_value") for scope in ("batch", "image")]


def random_batch():
    generator = torch.Generator().manual_seed(1)
    target = torch.rand(3, 1, 5, 7, generator=generator).double()
    prediction = target + 0.3 * torch.randn(target.shape, generator=generator)
    valid = torch.rand(target.shape, generator=generator) < torch.tensor([0.3, 0.7, 1.0]).view(3, 1, 1, 1)
    return prediction, target, valid


def printed_berhu(prediction, target, valid, threshold, scope):
    """Equation 2, pixel by pixel."""
    images = [(p[v], d[v]) for p, d, v in zip(*(x.numpy() for x in (prediction, target, valid)), strict=True)]
    largest = [np.abs(p - d).max() if threshold == "max_residual" else np.concatenate([p, d]).max() for p, d in images]
    if scope == "batch":
        largest = [max(largest)] * len(images)
    values = []
    for (p, d), most in zip(images, largest, strict=True):
        for r in np.abs(p - d):
            c = most / 5
            values.append(r if r < c else (r**2 + c**2) / (2 * c))
    return np.mean(values)


def test_l1_is_the_mean_over_all_valid_pixels():
    prediction, target, valid = random_batch()
    expected = (prediction - target).abs().numpy()[valid.numpy()].mean()
    assert float(L1Loss()(prediction, target, valid)) == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(lambda p: L1Loss()(p, target, valid), prediction.requires_grad_())


@pytest.mark.parametrize(("threshold", "scope"), EVERY_BERHU)
def test_berhu_is_the_printed_equation(threshold, scope):
    batch = random_batch()
    expected = printed_berhu(*batch, threshold, scope)
    assert float(BerHuLoss(threshold, scope)(*batch)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("c", [0.05, 0.5, 3.0])
def test_berhu_slopes_are_the_numeric_ones(c):
    residual = torch.tensor([0.01, 0.06, 0.4, 0.6, 2.0, 7.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: berhu(r, torch.tensor(c, dtype=torch.float64)), residual)


def test_a_larger_error_is_never_paid_for():
    """The threshold follows the largest error, but the slope treats it as given: 1 below it, r / c above."""
    prediction, target, valid = random_batch()
    prediction.requires_grad_()
    BerHuLoss()(prediction, target, valid).backward()
    error = (prediction - target).detach()
    c = error[valid].abs().max() / 5
    expected = (error.sign() * (error.abs() / c).clamp(min=1) / valid.sum()).where(valid, 0.0)
    assert torch.allclose(prediction.grad, expected, rtol=1e-10)


@pytest.mark.parametrize("loss", [L1Loss(), BerHuLoss(), BerHuLoss("max_value", "image")], ids=["l1", "berhu", "value"])
def test_pixels_without_truth_have_no_slope_whatever_they_hold(loss):
    prediction, target, valid = random_batch()
    expected = loss(prediction, target, valid)
    dirty = prediction.where(valid, torch.nan).requires_grad_()
    value = loss(dirty, target.where(valid, torch.nan), valid)
    value.backward()
    assert torch.equal(value, expected)
    assert (dirty.grad[~valid] == 0).all()
    assert dirty.grad[valid].isfinite().all()


@pytest.mark.parametrize("loss", [L1Loss(), BerHuLoss(), BerHuLoss("max_value", "image")], ids=["l1", "berhu", "value"])
def test_nothing_to_learn_costs_nothing(loss):
    prediction = torch.rand(2, 1, 3, 3, requires_grad=True)
    for valid in (torch.zeros(2, 1, 3, 3, dtype=torch.bool), torch.ones(2, 1, 3, 3, dtype=torch.bool)):
        value = loss(prediction, prediction.detach(), valid)
        (slope,) = torch.autograd.grad(value, prediction)
        assert value == 0
        assert (slope == 0).all()


def test_half_precision_is_computed_in_single():
    prediction, target, valid = random_batch()
    value = BerHuLoss()(prediction.bfloat16(), target.float(), valid)
    assert value.dtype == torch.float32
    expected = printed_berhu(prediction.bfloat16().double(), target, valid, "max_residual", "batch")
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_bad_options_and_shapes_are_named():
    with pytest.raises(ValueError, match="`threshold` must be"):
        BerHuLoss("max")
    with pytest.raises(ValueError, match="`scope` must be"):
        BerHuLoss(scope="pixel")
    with pytest.raises(ValueError, match="`share` must be positive"):
        BerHuLoss(share=0)
    with pytest.raises(ValueError, match="must have one shape"):
        L1Loss()(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4).bool())
