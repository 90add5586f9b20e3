"""Cross entropy, Dice and focal Tversky loss against worked values, NumPy and smp's own scores."""

import numpy as np
import pytest
import torch
from segmentation_models_pytorch.losses._functional import soft_dice_score, soft_tversky_score
from torch.nn import functional as F

from lightning_modules.losses import SegmentationLoss

CLASSES = 5
DICE, FTL = {"cross_entropy": 0.0, "dice": 1.0}, {"cross_entropy": 0.0, "focal_tversky": 1.0}
ROWS = {
    "ce": {},
    "dice": DICE,
    "dice_ce": {"cross_entropy": 0.5, "dice": 0.5},
    "ftl_ce": {"cross_entropy": 0.5, "focal_tversky": 0.5},
    "released": {
        "cross_entropy": 0.5, "dice": 0.2, "focal_tversky": 0.5, "mean_over": "all", "probabilities": "sigmoid",
        "unlabelled": "negative", "smooth": 1e-4, "transposed": True,
    },
}  # fmt: skip


def random_batch(size=(4, 4)):
    generator = torch.Generator().manual_seed(4)
    logits = 2 * torch.randn(2, CLASSES, *size, generator=generator).double()
    semantics = torch.randint(0, CLASSES + 1, (2, *size), generator=generator)
    return logits, semantics


def counts(logits, semantics, probabilities="softmax", unlabelled="ignored"):
    """True positives, false negatives and false positives of soft predictions, in loops."""
    z = logits.numpy()
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True) if probabilities == "softmax" else 1 / (1 + np.exp(-z))
    tp = fn = fp = 0.0
    for image, ids in zip(p, semantics.numpy(), strict=True):
        for (row, column), id_ in np.ndenumerate(ids):
            if id_ == 0 and unlabelled == "ignored":
                continue
            for channel in range(CLASSES):
                share = image[channel, row, column]
                if channel + 1 == id_:
                    tp, fn = tp + share, fn + 1 - share
                else:
                    fp += share
    return tp, fn, fp


def test_cross_entropy_is_over_labelled_pixels():
    logits, semantics = random_batch()
    log_p = logits.log_softmax(1).numpy()
    cells = [
        -log_p[b, id_ - 1, y, x] for (b, y, x), id_ in np.ndenumerate(semantics.numpy()) if id_
    ]  # channel c is class id c + 1
    assert float(SegmentationLoss()(logits, semantics)) == pytest.approx(np.mean(cells), rel=1e-12)
    everywhere = SegmentationLoss(mean_over="all")(logits, semantics)
    assert float(everywhere) == pytest.approx(np.sum(cells) / semantics.numel(), rel=1e-12)


@pytest.mark.parametrize("unlabelled", ["ignored", "negative"])
@pytest.mark.parametrize("probabilities", ["softmax", "sigmoid"])
def test_dice_and_focal_tversky_are_the_printed_equations(probabilities, unlabelled):
    logits, semantics = random_batch()
    options = {"probabilities": probabilities, "unlabelled": unlabelled}
    tp, fn, fp = counts(logits, semantics, **options)
    dice = SegmentationLoss(**DICE, **options)(logits, semantics)
    assert float(dice) == pytest.approx(1 - 2 * tp / (2 * tp + fn + fp), rel=1e-12)
    smoothed = SegmentationLoss(**DICE, **options, smooth=0.1)(logits, semantics)
    assert float(smoothed) == pytest.approx(1 - (tp + 0.1) / (tp + (fn + fp) / 2 + 0.1), rel=1e-12)
    focal = SegmentationLoss(**FTL, alpha=0.7, beta=0.3, gamma=1.5, **options)(logits, semantics)
    assert float(focal) == pytest.approx((1 - tp / (tp + 0.7 * fn + 0.3 * fp)) ** 1.5, rel=1e-12)
    # misses and false alarms are told apart, and the power is applied
    other = SegmentationLoss(**FTL, alpha=0.3, beta=0.7, gamma=1.5, **options)(logits, semantics)
    plain = SegmentationLoss(**FTL, alpha=0.7, beta=0.3, gamma=1.0, **options)(logits, semantics)
    assert float(focal) == pytest.approx(float(plain) ** 1.5, rel=1e-12)
    balanced = (probabilities, unlabelled) == ("softmax", "ignored")  # what one class misses another one takes
    assert np.isclose(fn, fp) == balanced
    assert np.isclose(float(other), float(focal), rtol=1e-3) == balanced


def test_the_overlaps_are_those_of_smp_over_all_classes_at_once():
    logits, semantics = random_batch()
    semantics = semantics.clamp(min=1)
    truth = F.one_hot(semantics - 1, CLASSES).permute(0, 3, 1, 2).double()
    shares = logits.softmax(1)
    dice = soft_dice_score(shares, truth)  # `dims` left out: one sum over everything
    assert float(SegmentationLoss(**DICE)(logits, semantics)) == pytest.approx(1 - float(dice), rel=1e-9)
    # smp's alpha weighs false positives, the paper's the misses
    score = soft_tversky_score(shares, truth, alpha=0.3, beta=0.7)
    focal = SegmentationLoss(**FTL, alpha=0.7, beta=0.3)(logits, semantics)
    assert float(focal) == pytest.approx((1 - float(score)) ** 1.5, rel=1e-9)


@pytest.mark.parametrize("row", ROWS)
def test_the_slope_is_the_numeric_one(row):
    logits, semantics = random_batch()
    loss = SegmentationLoss(**ROWS[row])
    assert torch.autograd.gradcheck(lambda z: loss(z, semantics), logits.requires_grad_())


def test_equal_weights_are_the_mean_of_both():
    logits, semantics = random_batch()
    ce, dice = SegmentationLoss()(logits, semantics), SegmentationLoss(**DICE)(logits, semantics)
    assert torch.allclose(SegmentationLoss(**ROWS["dice_ce"])(logits, semantics), (ce + dice) / 2)


def test_transposed_truth_is_a_mistake_that_only_shows_where_it_is_asked_for():
    logits, semantics = random_batch()
    right, wrong = SegmentationLoss(**DICE), SegmentationLoss(**DICE, transposed=True)
    assert torch.allclose(wrong(logits, semantics), right(logits, semantics.mT))
    assert not torch.allclose(wrong(logits, semantics), right(logits, semantics))
    with pytest.raises(ValueError, match=r"`transposed` needs square images, got \(4, 6\)"):
        wrong(*random_batch((4, 6)))


@pytest.mark.parametrize("row", ROWS)
def test_without_labels_there_is_nothing_to_learn(row):
    logits, semantics = random_batch()
    logits.requires_grad_()
    value = SegmentationLoss(**ROWS[row])(logits, torch.zeros_like(semantics))
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()
    if row != "released":  # whose unlabelled pixels are negatives of every class
        assert value == 0
        assert (logits.grad == 0).all()


def test_unlabelled_pixels_have_no_slope():
    logits, semantics = random_batch()
    logits.requires_grad_()
    SegmentationLoss(**ROWS["dice_ce"])(logits, semantics).backward()
    assert (logits.grad.abs().sum(1)[semantics == 0] == 0).all()
    assert (logits.grad.abs().sum(1)[semantics > 0] > 0).all()


def test_half_precision_is_computed_in_single():
    logits, semantics = random_batch()
    value = SegmentationLoss(**ROWS["ftl_ce"])(logits.half(), semantics)
    assert value.dtype == torch.float32
    assert float(value) == pytest.approx(float(SegmentationLoss(**ROWS["ftl_ce"])(logits, semantics)), rel=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cross_entropy": 0.0}, "are weights: none below 0, one above"),
        ({"dice": -1.0}, "are weights"),
        ({"mean_over": "some"}, "`mean_over` must be labelled or all"),
        ({"probabilities": "tanh"}, "`probabilities` must be softmax or sigmoid"),
        ({"unlabelled": "kept"}, "`unlabelled` must be ignored or negative"),
        ({"gamma": 0.0}, "`gamma` must be positive"),
        ({"smooth": -0.1}, "`smooth` must not be negative"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SegmentationLoss(**options)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"logits must be \(B, C, H, W\)"):
        SegmentationLoss()(torch.zeros(1, 5, 4, 4), torch.zeros(1, 8, 8, dtype=torch.long))
