"""Losses of segmentation and edges against NumPy and torch's own."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lightning_modules.losses import BalancedBCELoss, LearnedTaskWeights, SemanticCrossEntropy


def labels(seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, 4, 5, 6, generator=generator).double()
    return logits, torch.randint(0, 5, (2, 5, 6), generator=generator)


def edge_map(seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, 1, 5, 6, generator=generator).double()
    return logits, (torch.rand(2, 1, 5, 6, generator=generator) < 0.2).float()


def test_cross_entropy_is_of_labelled_pixels():
    logits, ids = labels()
    scores = logits.numpy()
    log_softmax = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    costs = [-log_softmax[b, ids[b, y, x] - 1, y, x] for b, y, x in np.ndindex(*ids.shape) if ids[b, y, x] > 0]
    assert 0 < len(costs) < ids.numel()
    assert SemanticCrossEntropy()(logits, ids).item() == pytest.approx(np.mean(costs), rel=1e-12)


def test_unlabelled_pixels_neither_cost_nor_teach():
    logits, ids = labels()
    logits.requires_grad_()
    SemanticCrossEntropy()(logits, ids).backward()
    assert not logits.grad.permute(0, 2, 3, 1)[ids == 0].any()
    assert logits.grad.permute(0, 2, 3, 1)[ids > 0].any(-1).all()
    loss = SemanticCrossEntropy()(logits, torch.zeros_like(ids))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.isfinite().all()


def test_channels_beyond_the_classes_are_ruled_out():
    """256 outputs for data of few classes: each further channel adds to the softmax' denominator."""
    logits, ids = labels()
    more = torch.cat([logits, torch.full((2, 252, 5, 6), -30.0).double()], dim=1)
    few, many = SemanticCrossEntropy()(logits, ids), SemanticCrossEntropy()(more, ids)
    assert few < many < few + 1e-8
    more.requires_grad_()
    SemanticCrossEntropy()(more, ids).backward()
    assert (more.grad[:, 4:].sum() > 0).all()  # pushed down


@pytest.mark.parametrize("weight", [0.5, 0.95])
def test_constant_edge_weight(weight):
    logits, truth = edge_map()
    p, e = 1 / (1 + np.exp(-logits.numpy())), truth.numpy()
    weights = np.where(e > 0, weight, 1 - weight)
    costs = -np.log(np.where(e > 0, p, 1 - p))
    expected = (weights * costs).sum() / weights.sum()
    assert BalancedBCELoss(weight)(logits, truth).item() == pytest.approx(expected, rel=1e-12)
    if weight == 0.5:
        plain = F.binary_cross_entropy_with_logits(logits, truth.double())
        assert expected == pytest.approx(plain.item(), rel=1e-12)


def test_frequency_gives_both_kinds_one_half():
    logits, truth = edge_map()
    p, e = 1 / (1 + np.exp(-logits.numpy())), truth.numpy() > 0
    expected = 0.5 * -np.log(p[e]).mean() + 0.5 * -np.log(1 - p[~e]).mean()
    assert BalancedBCELoss()(logits, truth).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weight", ["frequency", 0.95])
def test_a_guess_costs_its_logarithm_however_rare_edges_are(weight):
    _, truth = edge_map()
    assert BalancedBCELoss(weight)(torch.zeros_like(truth), truth).item() == pytest.approx(np.log(2), rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_batch_of_one_kind_can_be_trained_on(value):
    logits, truth = edge_map()
    logits.requires_grad_()
    loss = BalancedBCELoss()(logits, torch.full_like(truth, value))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.isfinite().all()


def test_extreme_logits_in_half_precision_stay_finite():
    logits = torch.tensor([[[[60000.0, -60000.0, 30.0, -30.0]]]], dtype=torch.float16)
    truth = torch.tensor([[[[0.0, 1.0, 1.0, 0.0]]]])
    with torch.autocast("cpu", torch.bfloat16):
        loss = BalancedBCELoss()(logits, truth)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(30000, rel=1e-2)


def test_what_does_not_fit_is_refused():
    logits, ids = labels()
    with pytest.raises(ValueError, match="one size"):
        SemanticCrossEntropy()(logits, ids[..., 1:])
    with pytest.raises(ValueError, match="one shape"):
        BalancedBCELoss()(logits[:, :1], torch.zeros(2, 1, 4, 6))
    for weight in (0.0, 1.0, "balanced"):
        with pytest.raises(ValueError, match="`edge_weight` must be"):
            BalancedBCELoss(weight)


def test_learned_weights_find_the_optimum_of_constant_losses():
    """d/ds of e^-s L + s/2 is zero at sigma^2 = e^s = 2 L."""
    losses = {"depth": 0.05, "semantics": 3.0}
    weights = LearnedTaskWeights(list(losses))
    assert weights.weight("depth").item() == 1
    assert weights.penalty().item() == 0
    optimizer = torch.optim.LBFGS(weights.parameters(), max_iter=50, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        total = sum(weights.weight(task) * loss for task, loss in losses.items()) + weights.penalty()
        total.backward()
        return total

    optimizer.step(closure)
    for task, loss in losses.items():
        assert weights.weight(task).item() == pytest.approx(1 / (2 * loss), rel=1e-3)
