"""The scale-invariant logarithmic loss against worked values, a plain float64 recomputation and numeric gradients."""

import math

import numpy as np
import pytest
import torch

from lightning_modules.losses import SILogLoss

EVERY_FORM = [(form, reduction) for form in ("sqrt", "raw") for reduction in ("batch", "image")]


def random_batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    target = 1 + 4 * torch.rand(3, 1, 5, 6, generator=generator).double()
    prediction = target * (0.3 * torch.randn(target.shape, generator=generator)).exp()
    return (
        prediction,
        target,
        torch.rand(target.shape, generator=generator) < torch.tensor([0.2, 0.6, 0.9])[:, None, None, None],
    )


@pytest.mark.parametrize("lam", [0.0, 0.5, 0.85, 1.0])
@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_constant_factor_costs_its_logarithm(lam, factor):
    _, target, valid = random_batch()
    expected = math.sqrt(1 - lam) * abs(math.log(factor))
    assert float(SILogLoss(lam)(factor * target, target, valid)) == pytest.approx(expected, abs=1.1e-4)  # root of eps


@pytest.mark.parametrize(("form", "reduction"), EVERY_FORM)
def test_it_is_the_printed_equation(form, reduction):
    prediction, target, valid = random_batch()
    errors = [
        np.log(p[v]) - np.log(d[v]) for p, d, v in zip(*(x.numpy() for x in (prediction, target, valid)), strict=True)
    ]
    groups = [np.concatenate(errors)] if reduction == "batch" else errors
    values = [np.mean(e**2) - 0.85 * np.mean(e) ** 2 for e in groups]
    expected = 10 * np.mean(np.sqrt(values) if form == "sqrt" else values)
    loss = SILogLoss(0.85, form=form, scale=10.0, reduction=reduction)
    assert float(loss(prediction, target, valid)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("form", "reduction"), EVERY_FORM)
def test_the_gradient_is_the_numeric_one(form, reduction):
    prediction, target, valid = random_batch()
    valid[1] = False  # an image without truth
    loss = SILogLoss(form=form, reduction=reduction)
    assert torch.autograd.gradcheck(lambda p: loss(p, target, valid), prediction.requires_grad_())


def test_pixels_without_truth_do_not_matter_whatever_they_hold():
    prediction, target, valid = random_batch()
    expected = SILogLoss()(prediction, target, valid)
    dirty = prediction.where(valid, torch.nan).requires_grad_()
    loss = SILogLoss()(dirty, target.where(valid, 0.0), valid)
    loss.backward()
    assert torch.equal(loss, expected)
    assert dirty.grad.isfinite().all()
    assert not dirty.grad[~valid].any()


@pytest.mark.parametrize(("form", "reduction"), EVERY_FORM)
def test_a_batch_without_truth_costs_nothing_and_can_be_trained_on(form, reduction):
    prediction, target, valid = random_batch()
    prediction.requires_grad_()
    loss = SILogLoss(form=form, reduction=reduction)(prediction, target, torch.zeros_like(valid))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


def test_an_image_without_truth_is_left_out_of_the_mean_over_images():
    prediction, target, valid = random_batch()
    loss = SILogLoss(reduction="image")
    expected = loss(prediction[1:], target[1:], valid[1:])
    valid[0] = False
    assert float(loss(prediction, target, valid)) == pytest.approx(float(expected))


def test_a_perfect_prediction_has_a_finite_gradient():
    _, target, valid = random_batch()
    prediction = target.clone().requires_grad_()
    SILogLoss()(prediction, target, valid).backward()
    assert prediction.grad.isfinite().all()


def test_a_nonpositive_prediction_costs_a_finite_loss_with_a_finite_gradient():
    prediction, target, valid = random_batch()
    prediction[valid.nonzero(as_tuple=True)] = torch.linspace(-1, 1, int(valid.sum())).double()
    prediction.requires_grad_()
    loss = SILogLoss()(prediction, target, valid)
    loss.backward()
    assert loss.isfinite()
    assert prediction.grad.isfinite().all()


def test_a_nan_prediction_is_not_hidden():
    prediction, target, valid = random_batch()
    prediction[valid] = torch.nan
    assert SILogLoss()(prediction, target, valid).isnan()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_predictions_are_computed_in_float32(dtype):
    prediction, target, valid = random_batch()
    prediction = prediction.to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        loss = SILogLoss()(prediction, target.float(), valid)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), SILogLoss()(prediction.double(), target, valid), rtol=1e-5, atol=0)


def test_maps_of_different_sizes_are_refused():
    _, target, valid = random_batch()
    with pytest.raises(ValueError, match=r"one shape.*\(3, 1, 2, 3\)"):
        SILogLoss()(torch.ones(3, 1, 2, 3), target, valid)


@pytest.mark.parametrize("option", [{"lam": 1.5}, {"form": "root"}, {"reduction": "mean"}])
def test_an_unknown_option_is_refused_by_name(option):
    with pytest.raises(ValueError, match=f"`{next(iter(option))}` must be"):
        SILogLoss(**option)
