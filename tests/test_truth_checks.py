"""Relative truth and what learns from it, and is compared with it, are checked before anything is trained."""

import pytest
import torch

from lightning_modules import GuidedMTINet, RegionSupportNetwork
from lightning_modules.losses import L1Loss, ScaleAndShiftInvariantLoss, SILogLoss
from lightning_modules.metrics import EvalProtocol
from lightning_modules.truth_checks import ALIGNMENTS, check_alignments, check_loss
from tests.helpers.described_data import described


def protocol(alignment):
    return EvalProtocol("plain", min_depth=0.1, max_depth=10, alignment=alignment)


@pytest.mark.parametrize("alignment", ["none", "median", "scale", "log", "least_squares", "inverse_least_squares"])
@pytest.mark.parametrize("truth", ["metric", "scale", "scale_and_shift"])
def test_predictions_are_aligned_to_relative_truth(truth, alignment):
    data = described(name="film", truth=truth)
    if truth == "metric" or alignment in ALIGNMENTS[truth]:
        check_alignments([data], {"film": protocol(alignment)})
        return
    with pytest.raises(ValueError, match=rf"`film`: depth is known up to a scale.* aligns by `{alignment}`; set"):
        check_alignments([data], {"film": protocol(alignment)})


@pytest.mark.parametrize(
    ("truth", "loss", "fits"),
    [
        ("metric", L1Loss(), True),
        ("scale", L1Loss(), False),
        ("scale", SILogLoss(lam=0.5), False),
        ("scale", SILogLoss(lam=1), True),
        ("scale", ScaleAndShiftInvariantLoss(), True),
        ("scale_and_shift", SILogLoss(lam=1), False),
        ("scale_and_shift", ScaleAndShiftInvariantLoss(), True),
        ("scale_and_shift", ScaleAndShiftInvariantLoss(of="depth"), False),
    ],
)
def test_metres_are_not_learned_from_relative_truth(truth, loss, fits):
    data, own = described(name="film", truth=truth), protocol("inverse_least_squares")
    if fits:
        check_loss("Net", loss, True, data, own)
        return
    with pytest.raises(ValueError, match=r"`film`: depth is known up to a scale.*set `--model\.depth_loss"):
        check_loss("Net", loss, True, data, own)


def test_losses_are_as_blind_as_they_say():
    random = torch.Generator().manual_seed(0)
    depth, target = (1 + torch.rand(2, 1, 9, 9, generator=random) for _ in range(2))
    valid = torch.ones_like(depth, dtype=torch.bool)
    for loss in (SILogLoss(lam=1, grad_matching=0.5), ScaleAndShiftInvariantLoss()):
        assert loss.invariant_to in ("scale", "scale_and_shift")
        torch.testing.assert_close(loss(3 * depth, target, valid), loss(depth, target, valid))


def test_methods_that_learn_metres_in_other_ways_say_so():
    data = described(name="film", truth="scale")
    for method in (GuidedMTINet, RegionSupportNetwork):
        with pytest.raises(ValueError, match=f"and {method.__name__} learns metres; train a method"):
            check_loss(
                method.__name__, ScaleAndShiftInvariantLoss(), method.learns_by_depth_loss, data, protocol("median")
            )
