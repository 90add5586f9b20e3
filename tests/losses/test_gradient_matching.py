"""Gradient matching against its equation, written as loops over pixels."""

import math

import numpy as np
import pytest
import torch

from lightning_modules.losses import SILogLoss
from lightning_modules.losses.gradient_matching import gradient_matching


def by_loops(error, valid, scales=4):
    """Of one image or of several taken as one, (B, H, W)."""
    total = 0.0
    for step in (2**k for k in range(scales)):
        residual, seen, edges = error[:, ::step, ::step], valid[:, ::step, ::step], 0.0
        images, height, width = residual.shape
        for b in range(images):
            for y in range(height):
                for x in range(width):
                    for y2, x2 in ((y, x + 1), (y + 1, x)):
                        if y2 < height and x2 < width and seen[b, y, x] and seen[b, y2, x2]:
                            edges += abs(residual[b, y2, x2] - residual[b, y, x])
        total += edges / max(seen.sum(), 1)
    return total


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    truth, predicted = rng.uniform(1, 9, (2, 3, 11, 7))
    valid = rng.random((3, 11, 7)) > 0.3
    valid[2] = False
    return predicted, truth, valid


def tensors(*arrays):
    return [torch.from_numpy(array)[:, None] for array in arrays]


def test_the_equation(maps):
    predicted, truth, valid = maps
    error, seen = tensors(np.log(predicted) - np.log(truth), valid)
    expected = by_loops(error[:, 0].numpy(), valid)
    assert float(gradient_matching(error, seen)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("reduction", ["batch", "image"])
def test_as_a_term_of_the_logarithmic_loss(maps, reduction):
    predicted, truth, valid = maps
    arguments = tensors(predicted, truth, valid)
    plain = SILogLoss(scale=10.0, reduction=reduction)(*arguments)
    loss = SILogLoss(scale=10.0, reduction=reduction, grad_matching=0.5)(*arguments)
    error = np.log(predicted) - np.log(truth)
    if reduction == "batch":
        expected = by_loops(error, valid)
    else:  # the third image has no valid pixel and does not count
        expected = np.mean([by_loops(error[i : i + 1], valid[i : i + 1]) for i in range(2)])
    assert float(loss - plain) == pytest.approx(10 * 0.5 * expected, rel=1e-12)


def test_a_wrong_scale_has_no_edges_but_a_wrong_edge_has():
    truth = torch.full((1, 1, 16, 16), 2.0)
    valid = torch.ones_like(truth, dtype=torch.bool)
    step = truth.clone()
    step[..., 8:] *= math.e
    assert float(gradient_matching((3 * truth).log() - truth.log(), valid)) == 0
    # one pixel in 16, 8, 4 and 2 of each row sees the step of 1
    assert float(gradient_matching(step.log() - truth.log(), valid)) == pytest.approx(1 / 16 + 1 / 8 + 1 / 4 + 1 / 2)


def test_what_is_invalid_has_no_influence(maps):
    arguments = tensors(*maps)
    arguments[0] = arguments[0].where(arguments[2], torch.nan).requires_grad_()
    loss = SILogLoss(grad_matching=0.5)(*arguments)
    loss.backward()
    assert loss.isfinite()
    assert torch.equal(arguments[0].grad.where(arguments[2], 0), arguments[0].grad)
    assert arguments[0].grad.isfinite().all()


def test_nothing_valid_costs_nothing():
    depth = torch.ones(2, 1, 8, 8, requires_grad=True)
    loss = SILogLoss(grad_matching=0.5)(depth, torch.ones(2, 1, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not depth.grad.any()


def test_a_single_row_has_edges_along_it_only():
    error = torch.tensor([[[[0.0, 1.0, 1.0]]]])
    assert float(gradient_matching(error, torch.ones_like(error, dtype=torch.bool), scales=1)) == pytest.approx(1 / 3)


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="`grad_matching`"):
        SILogLoss(grad_matching=-1.0)
