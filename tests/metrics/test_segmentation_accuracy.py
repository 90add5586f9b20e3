"""Segmentation accuracy against loops over pixels, torchmetrics, and worked examples."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from lightning_modules.metrics import SegmentationAccuracy
from tests.helpers.bilinear import loop_bilinear
from tests.helpers.metric_tester import MetricTester

CLASSES = 6


def loop_reference(logits, semantics, classes, absent="skip"):
    """Sets of pixels (image, row, column) of every class, true and predicted, and what follows from their sizes."""
    true, predicted = ({c: set() for c in range(1, classes + 1)} for _ in range(2))
    excluded = 0
    for image, (maps, ids) in enumerate(zip(logits.double().numpy(), semantics.numpy(), strict=True)):
        maps = np.stack([loop_bilinear(channel, ids.shape) for channel in maps])
        excluded += not ids.any()
        for row, column in zip(*np.nonzero(ids), strict=True):
            true[int(ids[row, column])].add((image, row, column))
            best = max(range(classes), key=lambda c: (maps[c, row, column], -c))
            predicted[best + 1].add((image, row, column))
    right = sum(len(true[c] & predicted[c]) for c in true)
    ious = [len(true[c] & predicted[c]) / len(true[c] | predicted[c]) for c in true if true[c] | predicted[c]]
    return {
        "pixel_accuracy": right / sum(len(pixels) for pixels in true.values()),
        "mean_accuracy": np.mean([len(true[c] & predicted[c]) / len(true[c]) for c in true if true[c]]),
        "miou": sum(ious) / (classes if absent == "zero" else len(ious)),
        "excluded": excluded,
        "nonfinite": 0,
    }


class TestSegmentationAccuracy(MetricTester):
    # These three ask about a depth map and its valid pixels.
    test_without_a_valid_pixel_there_is_no_figure = None
    test_one_nonfinite_prediction_is_counted_and_spoils_every_figure = None
    test_a_nonfinite_prediction_off_the_truth_is_ignored = None
    absent = "skip"

    def make(self):
        return SegmentationAccuracy(CLASSES, self.absent)

    def inputs(self):
        generator = torch.Generator().manual_seed(0)
        semantics = torch.randint(0, CLASSES - 1, (7, 8, 10), generator=generator)  # the last two are never true
        coarse = torch.nn.functional.one_hot(semantics[:, ::2, ::2], CLASSES + 1)[..., 1:].movedim(-1, 1)
        logits = coarse + torch.randn(7, CLASSES, 4, 5, generator=generator)
        logits[:, CLASSES - 1] = -9.0  # nor is the last one predicted
        semantics[3] = 0
        semantics[5, 1:] = 0
        return logits, semantics

    def reference(self, *inputs):
        return loop_reference(*inputs, CLASSES, self.absent)

    def test_the_inputs_have_a_class_that_is_only_predicted_and_one_that_is_absent(self):
        logits, semantics = self.inputs()
        true, predicted = set(semantics.unique().tolist()) - {0}, set((logits.argmax(1) + 1).unique().tolist())
        assert (true, predicted) == ({1, 2, 3, 4}, {1, 2, 3, 4, 5})
        assert self.reference(logits, semantics)["excluded"] == 1

    def test_per_image_figures(self):
        logits, semantics = self.inputs()
        metric = self.make()
        metric.update(logits, semantics)
        assert list(metric.per_image) == ["pixel_accuracy"]
        expected = [
            loop_reference(logits[i : i + 1], semantics[i : i + 1], CLASSES)["pixel_accuracy"]
            if semantics[i].any()
            else math.nan
            for i in range(7)
        ]
        assert metric.per_image["pixel_accuracy"].tolist() == pytest.approx(expected, nan_ok=True)


class TestAbsentClassesAsZero(TestSegmentationAccuracy):
    absent = "zero"

    def test_absent_classes_pull_the_mean_down(self):
        inputs = self.inputs()
        assert 0 < self.reference(*inputs)["miou"] < loop_reference(*inputs, CLASSES)["miou"]


def test_agrees_with_torchmetrics():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4, 9, 20, 30, generator=generator)
    semantics = torch.randint(0, 9, (4, 20, 30), generator=generator)  # 9 is never true
    logits[:, 7] = -9.0  # and 8 never predicted
    metric = SegmentationAccuracy(9)
    metric.update(logits, semantics)
    figures = metric.compute()
    theirs = [
        MulticlassAccuracy(9, average="micro", ignore_index=-1),
        MulticlassJaccardIndex(9, ignore_index=-1),
        MulticlassAccuracy(9, average="none", ignore_index=-1),
    ]
    accuracy, miou, recalls = (one(logits, semantics - 1) for one in theirs)
    assert float(figures["pixel_accuracy"]) == pytest.approx(float(accuracy))
    assert float(figures["miou"]) == pytest.approx(float(miou))
    assert float(figures["mean_accuracy"]) == pytest.approx(float(recalls[:8].mean()))  # of the classes of the truth


def evaluate(predicted, semantics, classes=3, **options):
    """Figures of one image from rows of ids."""
    logits = torch.nn.functional.one_hot(torch.tensor([predicted]) - 1, classes).movedim(-1, 1).float()
    metric = SegmentationAccuracy(classes, **options)
    metric.update(logits, torch.tensor([semantics]))
    return {name: float(figure) for name, figure in metric.compute().items()}


def test_worked_example():
    # Class 1: 2 of 3 right, class 2: 1 of 1 and one too many, class 3 nowhere true, predicted once on class 1.
    # The last pixel is unlabelled.
    predicted, semantics = [[1, 1, 3, 2, 3]], [[1, 1, 1, 2, 0]]
    figures = evaluate(predicted, semantics)
    assert figures["pixel_accuracy"] == pytest.approx(3 / 4)
    assert figures["mean_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert figures["miou"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert evaluate(predicted, semantics, classes=4)["miou"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert evaluate(predicted, semantics, classes=4, absent="zero")["miou"] == pytest.approx((2 / 3 + 1 + 0) / 4)


def test_one_pixel_and_one_class():
    for classes in (1, 2):
        assert evaluate([[1]], [[1]], classes) == {
            **{"pixel_accuracy": 1, "mean_accuracy": 1, "miou": 1},
            **{"excluded": 0, "nonfinite": 0},
        }
    assert [evaluate([[2]], [[1]], 2)[name] for name in ("pixel_accuracy", "mean_accuracy", "miou")] == [0, 0, 0]


@pytest.mark.parametrize("absent", ["skip", "zero"])
def test_without_a_labelled_pixel_there_is_no_figure(absent):
    metric = SegmentationAccuracy(3, absent)
    metric.update(torch.randn(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.int64))
    figures = metric.compute()
    assert figures.pop("excluded") == 2
    assert figures.pop("nonfinite") == 0
    assert all(figure.isnan() for figure in figures.values())
    assert metric.per_image["pixel_accuracy"].isnan().all()


def test_constant_logits_are_the_first_class():
    metric = SegmentationAccuracy(3)
    metric.update(torch.full((1, 3, 2, 2), 0.7), torch.tensor([[[1, 1, 2], [3, 0, 1]]]))
    assert float(metric.compute()["pixel_accuracy"]) == pytest.approx(3 / 5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_nonfinite_logit_in_any_channel_is_counted_on_labelled_pixels_and_spoils_every_figure(value, dtype):
    semantics = torch.ones(2, 4, 4, dtype=torch.int64)
    semantics[:, 0] = 0
    logits = torch.ones(2, 3, 4, 4, dtype=dtype)
    logits[1, 2, 0, 1] = value  # unlabelled
    metric = SegmentationAccuracy(3)
    metric.update(logits, semantics)
    assert metric.compute()["nonfinite"] == 0
    assert metric.compute()["pixel_accuracy"] == 1
    logits[1, 2, 1, 1] = value
    metric.update(logits, semantics)
    figures = metric.compute()
    assert figures.pop("nonfinite") == 1
    assert figures.pop("excluded") == 0
    assert all(figure.isnan() for figure in figures.values())
    assert metric.per_image["pixel_accuracy"].isnan().tolist() == [False, True]


def test_a_nonfinite_logit_spoils_all_pixels_that_a_resize_makes_of_it():
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 0, 0, 0] = math.nan
    metric = SegmentationAccuracy(2)
    metric.update(logits, torch.ones(1, 4, 4, dtype=torch.int64))
    assert metric.compute()["nonfinite"] == 9


def test_batches_of_several_sizes_are_pooled_over_pixels():
    generator = torch.Generator().manual_seed(2)
    metric, images = SegmentationAccuracy(4), []
    for height, width in ((3, 5), (8, 4), (1, 1)):
        logits = torch.randn(1, 4, height, width, generator=generator)
        semantics = torch.randint(1, 5, (1, height, width), generator=generator)
        metric.update(logits, semantics)
        images.append((logits.flatten(2), semantics.flatten(1)))
    logits, semantics = (torch.cat(parts, dim=-1) for parts in zip(*images, strict=True))
    expected = loop_reference(logits[..., None], semantics[..., None], 4)
    assert {name: float(figure) for name, figure in metric.compute().items()} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("logits", "semantics", "complaint"),
    [
        ((2, 3, 4, 4), (1, 4, 4), r"\(2, 3, 4, 4\) and \(1, 4, 4\)"),
        ((1, 3, 4, 4), (1, 1, 4, 4), r"semantics \(B, H, W\)"),
        ((1, 5, 4, 4), (1, 4, 4), "5 class channels and the metric 3 classes"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(logits, semantics, complaint):
    with pytest.raises(ValueError, match=complaint):
        SegmentationAccuracy(3).update(torch.zeros(logits), torch.ones(semantics, dtype=torch.int64))


def test_ids_of_a_byte_are_ids_too():
    metric = SegmentationAccuracy(2)
    metric.update(torch.tensor([[[[0.0, 0.0]], [[1.0, 1.0]]]]), torch.tensor([[[0, 2]]], dtype=torch.uint8))
    assert metric.compute()["pixel_accuracy"] == 1


@pytest.mark.parametrize("semantics", [torch.tensor([[[255]]]), torch.tensor([[[-1]]]), torch.tensor([[[1.0]]])])
def test_ids_out_of_range_are_refused(semantics):
    with pytest.raises(ValueError, match=r"integers in 0\.\.3"):
        SegmentationAccuracy(3).update(torch.zeros(1, 3, 1, 1), semantics)


def test_class_ids_as_logits_are_refused():
    with pytest.raises(ValueError, match="floating"):
        SegmentationAccuracy(1).update(torch.ones(1, 1, 2, 2, dtype=torch.int64), torch.ones(1, 2, 2).long())


@pytest.mark.parametrize("options", [{"classes": 0}, {"absent": "one"}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SegmentationAccuracy(**options)
