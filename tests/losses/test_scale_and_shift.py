"""MiDaS's loss, against its equations written out for one image at a time, and against what it is blind to."""

import numpy as np
import pytest
import torch

from lightning_modules.losses import ScaleAndShiftInvariantLoss


def maps(images=3, size=(20, 28), share=0.7, seed=0):
    random = torch.Generator().manual_seed(seed)
    prediction, target = (0.5 + 8 * torch.rand(images, 1, *size, generator=random).double() for _ in range(2))
    return prediction, target, torch.rand(images, 1, *size, generator=random) < share


def by_hand(prediction, target, valid, alpha=0.5):
    """Equations 7 to 12 for each image, with NumPy."""
    losses = []
    for d, true, seen in zip(prediction[:, 0].numpy(), target[:, 0].numpy(), valid[:, 0].numpy(), strict=True):
        if not seen.any():
            continue
        normalised = []
        for disparity in (1 / d, 1 / true):
            t = np.median(disparity[seen])
            s = np.abs(disparity[seen] - t).mean()
            normalised.append((disparity - t) / s)
        residual = normalised[0] - normalised[1]
        count = seen.sum()
        smallest = np.sort(np.abs(residual[seen]))[: int(0.8 * count)]
        loss = smallest.sum() / (2 * count)
        for k in range(4):
            r, m = residual[:: 2**k, :: 2**k], seen[:: 2**k, :: 2**k]
            across = np.abs(np.diff(r, axis=1))[m[:, 1:] & m[:, :-1]].sum()
            down = np.abs(np.diff(r, axis=0))[m[1:] & m[:-1]].sum()
            loss += alpha * (across + down) / max(m.sum(), 1)
        losses.append(loss)
    return np.mean(losses)


@pytest.mark.parametrize("share", [1.0, 0.7, 0.1])
def test_the_equations(share):
    given = maps(share=share)
    assert ScaleAndShiftInvariantLoss()(*given).item() == pytest.approx(by_hand(*given), rel=1e-9)


def test_sparse_truth():
    """A few hundred pixels of a frame, as lidar gives them."""
    prediction, target, valid = maps(2, (120, 160), share=0.015)
    assert 200 < valid[0].sum() < 400
    garbage = torch.where(valid, target, torch.nan)
    expected = by_hand(prediction, target, valid)
    assert ScaleAndShiftInvariantLoss()(prediction, garbage, valid).item() == pytest.approx(expected, rel=1e-9)


def test_an_image_without_truth_plays_no_part():
    prediction, target, valid = maps()
    valid[1] = False
    prediction.requires_grad_()
    loss = ScaleAndShiftInvariantLoss()(prediction, target, valid)
    assert loss.item() == pytest.approx(by_hand(prediction.detach(), target, valid), rel=1e-9)
    loss.backward()
    assert prediction.grad.isfinite().all()
    assert not prediction.grad[~valid].any()
    nothing = ScaleAndShiftInvariantLoss()(prediction, target, torch.zeros_like(valid))
    assert nothing.item() == 0


@pytest.mark.parametrize("of", ["disparity", "depth"])
def test_what_it_is_blind_to(of):
    prediction, target, valid = maps()
    loss = ScaleAndShiftInvariantLoss(of=of)
    scales, shifts = torch.tensor([3.0, 0.2, 1.0]).view(-1, 1, 1, 1), torch.tensor([0.5, 2.0, 0.0]).view(-1, 1, 1, 1)
    moved = 1 / (scales / prediction + shifts) if of == "disparity" else scales * prediction + shifts
    torch.testing.assert_close(loss(moved, target, valid), loss(prediction, target, valid))
    assert loss(target, target, valid).item() == pytest.approx(0, abs=1e-12)
    assert loss(prediction.square(), target, valid) != pytest.approx(loss(prediction, target, valid).item())


def test_the_largest_residuals_are_left_out_of_the_absolute_error():
    prediction, target, valid = maps(share=1.0)
    trimmed, whole = (ScaleAndShiftInvariantLoss(alpha=0, trim=trim)(prediction, target, valid) for trim in (0.2, 0.0))
    assert trimmed.item() == pytest.approx(by_hand(prediction, target, valid, alpha=0), rel=1e-9)
    assert trimmed < 0.8 * whole


def test_gradients():
    prediction, target, valid = maps(2, (5, 6))
    prediction.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: ScaleAndShiftInvariantLoss()(p, target, valid), prediction)


def test_half_precision_is_computed_in_float32():
    prediction, target, valid = maps()
    half = ScaleAndShiftInvariantLoss()(prediction.bfloat16(), target.float(), valid)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(by_hand(prediction.bfloat16().double(), target, valid), rel=1e-4)


def test_a_constant_prediction_is_finite():
    _, target, valid = maps()
    constant = torch.full_like(target, 2.0, requires_grad=True)
    loss = ScaleAndShiftInvariantLoss()(constant, target, valid)
    loss.backward()
    assert loss.isfinite()
    assert constant.grad.isfinite().all()


@pytest.mark.parametrize("options", [{"alpha": -1}, {"trim": 1.0}, {"of": "height"}])
def test_options(options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must"):
        ScaleAndShiftInvariantLoss(**options)
