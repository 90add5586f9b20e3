"""The loss of image-level classes against the definition, written as loops."""

import math

import pytest
import torch

from lightning_modules.losses import ImageClassLoss
from lightning_modules.losses.image_class_loss import shown_classes


def by_loops(logits, semantics, min_share=0.0):
    losses = []
    for row, ids in zip(logits.tolist(), semantics.flatten(1).tolist(), strict=True):
        labelled = [i for i in ids if i > 0]
        shown = {c for c in set(labelled) if labelled.count(c) >= min_share * len(labelled)}
        if shown:
            terms = [math.log1p(math.exp(-x if c in shown else x)) for c, x in enumerate(row, start=1)]
            losses.append(sum(terms) / len(terms))
    return sum(losses) / max(len(losses), 1)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    semantics = torch.randint(0, 6, (4, 5, 7), generator=generator)
    semantics[2] = 0  # an image without labels counts nowhere
    semantics[3] = 4
    return torch.randn(4, 5, generator=generator, dtype=torch.float64), semantics


@pytest.mark.parametrize("min_share", [0.0, 0.2])
def test_the_definition(batch, min_share):
    logits, semantics = batch
    loss = ImageClassLoss(min_share)(logits, semantics)
    assert float(loss) == pytest.approx(by_loops(logits, semantics, min_share), rel=1e-12)


def test_shares_are_of_what_is_labelled():
    semantics = torch.tensor([[[1, 1, 1, 2], [0, 0, 0, 0]]])
    assert shown_classes(semantics, 3).tolist() == [[True, True, False]]
    assert shown_classes(semantics, 3, min_share=0.25).tolist() == [[True, True, False]]
    assert shown_classes(semantics, 3, min_share=0.26).tolist() == [[True, False, False]]


def test_nothing_labelled_costs_nothing():
    logits = torch.randn(2, 5, requires_grad=True)
    loss = ImageClassLoss()(logits, torch.zeros(2, 4, 4, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_low_precision_is_raised(batch):
    logits, semantics = batch
    assert ImageClassLoss()(logits.bfloat16(), semantics).dtype == torch.float32


def test_a_share_out_of_range_is_refused():
    with pytest.raises(ValueError, match="`min_share`"):
        ImageClassLoss(1.0)
