"""Mean average precision of image-level classes against its definition."""

import numpy as np
import pytest
import torch

from lightning_modules.metrics import ImageClasses


def average_precision(scores, shown):
    """Sum over the images that show the class of precision at their rank, without ties."""
    order = np.argsort(-scores)
    hits = np.cumsum(shown[order])
    return (hits / np.arange(1, len(scores) + 1))[shown[order]].mean()


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    shown = rng.random((20, 6)) < 0.3
    shown[:, 4] = False  # nowhere shown
    semantics = np.zeros((20, 3, 6), dtype=np.int64)
    for image, classes in enumerate(shown):
        semantics[image, 0] = np.where(classes, np.arange(1, 7), 0)
    logits = rng.normal(size=(20, 6)) * 30  # far beyond what float32 can tell apart as probabilities
    return torch.from_numpy(logits), torch.from_numpy(semantics), shown


def test_the_definition(data):
    logits, semantics, shown = data
    metric = ImageClasses(6)
    for part in (slice(0, 7), slice(7, 20)):
        metric.update(logits[part], semantics[part])
    figures = metric.compute()
    labelled, classes = shown.any(1), shown.any(0)
    expected = [average_precision(logits.numpy()[labelled, c], shown[labelled, c]) for c in np.flatnonzero(classes)]
    assert float(figures["image_class_map"]) == pytest.approx(np.mean(expected), rel=1e-6)
    assert float(figures["image_class_chance"]) == pytest.approx(shown[labelled][:, classes].mean(), rel=1e-12)
    assert int(figures["excluded"]) == (~labelled).sum() > 0
    assert figures["nonfinite"] == 0


def test_perfect_ranking_is_one_and_one_bad_logit_spoils_it(data):
    logits, semantics, shown = data
    metric = ImageClasses(6)
    metric.update(torch.from_numpy(shown) * 2.0 - 1 + 0.01 * logits.sigmoid(), semantics)
    assert float(metric.compute()["image_class_map"]) == pytest.approx(1)
    metric.update(torch.full((1, 6), torch.nan), semantics[shown.any(1)][:1])
    figures = metric.compute()
    assert figures["image_class_map"].isnan()
    assert figures["nonfinite"] == 1


def test_nothing_labelled_has_no_figure():
    metric = ImageClasses(3)
    metric.update(torch.zeros(2, 3), torch.zeros(2, 4, 4, dtype=torch.int64))
    figures = metric.compute()
    assert figures["image_class_map"].isnan()
    assert figures["excluded"] == 2


def test_wrong_numbers_of_classes_are_refused(data):
    logits, semantics, _ = data
    with pytest.raises(ValueError, match=r"need logits \(B, 40\)"):
        ImageClasses()(logits, semantics)
    with pytest.raises(ValueError, match=r"id 6, the metric knows 1\.\.3"):
        ImageClasses(3)(logits[:, :3], semantics)
