"""Segment quality against loops over pixels and pairs in plain Python, scikit-image, and worked examples."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from skimage.segmentation import find_boundaries

from lightning_modules.metrics.segment_quality import SegmentQuality, per_image_segment_quality
from tests.helpers.metric_tester import MetricTester

TOLERANCE = 1


def loop_boundary_recall(labels, instances, tolerance):
    truth, found = (np.argwhere(find_boundaries(part, connectivity=1, mode="thick")) for part in (instances, labels))
    hits = [any(max(abs(y - v), abs(x - u)) <= tolerance for v, u in found) for y, x in truth]
    return sum(hits) / len(hits) if hits else math.nan


def loop_regions(labels, instances):
    pixels = [(s, g) for s, g in zip(labels.flat, instances.flat, strict=True) if g > 0]
    if not pixels:
        return math.nan, math.nan
    areas, overlaps = Counter(s for s, _ in pixels), Counter(pixels)
    leak = sum(min(n, areas[s] - n) for (s, _), n in overlaps.items())
    best = sum(max(n for (t, _), n in overlaps.items() if t == s) for s in areas)
    return leak / len(pixels), best / len(pixels)


def loop_explained_variance(labels, depth, valid):
    """One minus the share that is left inside the segments: the other side of the decomposition."""
    pixels = depth[valid]
    if len(np.unique(pixels)) < 2:
        return math.nan
    parts = [depth[valid & (labels == s)] for s in np.unique(labels[valid])]
    return 1 - sum(((part - part.mean()) ** 2).sum() for part in parts) / ((pixels - pixels.mean()) ** 2).sum()


def loop_reference(stack, instances, depth, valid, tolerance):
    """Means over the images that define a figure, all in float64."""
    figures = {}
    for level in range(stack.shape[1]):
        rows = []
        for maps in zip(stack[:, level].long(), instances, depth[:, 0].double(), valid[:, 0], strict=True):
            s, g, d, v = (part.numpy() for part in maps)
            rows.append([loop_boundary_recall(s, g, tolerance), *loop_regions(s, g), loop_explained_variance(s, d, v)])
        names = ("boundary_recall", "undersegmentation_error", "achievable_accuracy", "explained_variance")
        figures |= {f"level{level}_{name}": x for name, x in zip(names, np.nanmean(rows, axis=0), strict=True)}
        boundary, region, _, depths = np.isnan(rows).sum(0)
    return figures | {"excluded": region, "excluded_boundary": boundary, "excluded_depth": depths}


class StackedLevels(SegmentQuality):
    """Takes the levels as one tensor (B, L, H, W), for the examination deals out tensors."""

    def update(self, stack, *truth):
        super().update(stack.unbind(1), *truth)


class TestSegmentQuality(MetricTester):
    averages_images = True
    # These three ask about a predicted depth map.
    test_without_a_valid_pixel_there_is_no_figure = None
    test_one_nonfinite_prediction_is_counted_and_spoils_every_figure = None
    test_a_nonfinite_prediction_off_the_truth_is_ignored = None

    def make(self):
        return StackedLevels(TOLERANCE)

    def inputs(self):
        generator = torch.Generator().manual_seed(0)
        rows, columns = torch.meshgrid(torch.arange(12), torch.arange(15), indexing="ij")
        fine = (rows // 3) * 5 + columns // 3
        coarse = 3 * (columns // 6)  # ids with gaps
        noise = torch.randint(0, 40, (7, 12, 15), generator=generator)
        levels = [torch.where(noise < 2, noise, level) for level in (fine, coarse)]
        instances = torch.randint(0, 4, (7, 3, 3), generator=generator) * 1000  # ids far apart, and none
        instances = instances.repeat_interleave(4, 1).repeat_interleave(5, 2)
        instances[2] = 0  # no object
        instances[3] = 7  # one object: no boundary
        depth = 1 + instances[:, None] / 1000 + torch.rand(7, 1, 12, 15, generator=generator)
        valid = torch.rand(depth.shape, generator=generator) < 0.7
        valid[4] = False
        depth[5] = 2.3
        return torch.stack(levels, dim=1), instances, depth.where(valid, torch.nan), valid

    def reference(self, *inputs):
        return loop_reference(*inputs, TOLERANCE)

    def test_the_inputs_exclude_different_images(self):
        figures = self.reference(*self.inputs())
        assert [figures[name] for name in ("excluded", "excluded_boundary", "excluded_depth")] == [1, 2, 2]

    def test_per_image_figures_are_those_the_metric_averages(self):
        stack, *truth = self.inputs()
        figures = per_image_segment_quality(stack.unbind(1), *truth, TOLERANCE)
        assert all(figure.shape == (7,) for figure in figures.values())
        averages = self.reference(stack, *truth)
        assert {name: float(figure.nanmean()) for name, figure in figures.items()} == pytest.approx(
            {name: averages[name] for name in figures}
        )

    def test_labels_only_name_segments(self):
        stack, *truth = self.inputs()
        metric = self.make()
        metric.update(stack * 1_000_003 + 5, *truth)
        self.check(metric.compute(), self.reference(stack, *truth))


def evaluate(segments, instances, depth=None, valid=None, tolerance=2):
    """Figures of one image from rows of numbers."""
    segments, instances = torch.tensor([segments]), torch.tensor([instances])
    depth = torch.ones(instances.shape) if depth is None else torch.tensor([depth])
    valid = torch.ones(instances.shape, dtype=torch.bool) if valid is None else torch.tensor([valid])
    metric = SegmentQuality(tolerance)
    metric.update([segments], instances, depth[:, None], valid[:, None])
    return {name.removeprefix("level0_"): float(figure) for name, figure in metric.compute().items()}


def test_worked_example():
    # Segment 0 leaks one pixel of object 5 into object 6; the last pixel is on no object.
    figures = evaluate([[0, 0, 0, 1, 1]], [[5, 5, 6, 6, 0]], [[1.0, 1.0, 4.0, 5.0, 9.0]], [[True] * 4 + [False]], 0)
    assert figures["undersegmentation_error"] == pytest.approx((1 + 1) / 4)  # of pairs (0, 5) and (0, 6)
    assert figures["achievable_accuracy"] == pytest.approx(3 / 4)
    # Boundaries of the truth at 1 to 4, of the segments at 2 and 3.
    assert figures["boundary_recall"] == pytest.approx(2 / 4)
    # Mean 2.75, of the segments 2 and 5; squares from 2.75 sum to 12.75.
    assert figures["explained_variance"] == pytest.approx((3 * 0.75**2 + 2.25**2) / 12.75)


def test_segments_that_are_the_objects_are_perfect():
    objects = [[1, 1, 2], [3, 3, 2], [3, 3, 4]]
    figures = evaluate(objects, objects, [[float(depth) for depth in row] for row in objects], tolerance=0)
    best = {"boundary_recall": 1, "undersegmentation_error": 0, "achievable_accuracy": 1, "explained_variance": 1}
    assert figures == pytest.approx(best | {"excluded": 0, "excluded_boundary": 0, "excluded_depth": 0})


def test_one_segment_for_all_explains_nothing():
    figures = evaluate([[0] * 6], [[1, 1, 1, 2, 2, 2]], [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    assert figures["boundary_recall"] == 0
    assert figures["undersegmentation_error"] == 1  # a tie: half of the segment is in either
    assert figures["achievable_accuracy"] == 0.5
    assert figures["explained_variance"] == pytest.approx(0)


@pytest.mark.parametrize(("tolerance", "recall"), [(0, 0), (1, 0), (2, 0.5), (3, 1)])
def test_boundaries_are_found_up_to_the_tolerance(tolerance, recall):
    # The truth's boundary is at columns 2 and 3, the segments' at 5 and 6; the square has corners.
    segments = [[0] * 6 + [1] * 2] * 4
    instances = [[1] * 3 + [2] * 5] * 4
    assert evaluate(segments, instances, tolerance=tolerance)["boundary_recall"] == recall


def test_one_pixel():
    figures = evaluate([[3]], [[1]])
    assert (figures["undersegmentation_error"], figures["achievable_accuracy"]) == (0, 1)
    assert (figures["excluded"], figures["excluded_boundary"], figures["excluded_depth"]) == (0, 1, 1)
    assert math.isnan(figures["boundary_recall"])
    assert math.isnan(figures["explained_variance"])


def test_without_any_object_depth_is_still_explained():
    figures = evaluate([[0, 0, 1, 1]], [[0] * 4], [[1.0, 1.0, 2.0, 2.0]])
    assert (figures["excluded"], figures["excluded_boundary"], figures["excluded_depth"]) == (1, 1, 0)
    assert math.isnan(figures["achievable_accuracy"])
    assert figures["explained_variance"] == 1


def test_segments_are_brought_to_the_size_of_the_truth():
    truth = torch.arange(6).view(1, 2, 3).repeat_interleave(4, 1).repeat_interleave(4, 2)
    metric = SegmentQuality(tolerance=0)
    metric.update([torch.arange(6).view(1, 2, 3)], truth, truth[:, None].float(), truth[:, None] >= 0)
    figures = metric.compute()
    assert [figures[f"level0_{name}"] for name in ("boundary_recall", "achievable_accuracy")] == [1, 1]


@pytest.mark.parametrize(
    ("segments", "complaint"),
    [
        ([], "one at least"),
        ([torch.zeros(2, 4, 4, dtype=torch.int64)], r"\(2, 4, 4\), \(1, 4, 4\)"),
        ([torch.full((1, 4, 4), -1)], "-1 in segments"),
    ],
)
def test_segments_that_do_not_fit_are_refused(segments, complaint):
    instances = torch.ones(1, 4, 4, dtype=torch.int64)
    with pytest.raises(ValueError, match=complaint):
        SegmentQuality().update(segments, instances, instances[:, None].float(), instances[:, None] > 0)


def test_the_number_of_levels_is_the_same_in_every_batch():
    labels = torch.ones(1, 4, 4, dtype=torch.int64)
    metric = SegmentQuality()
    metric.update([labels, labels], labels, labels[:, None].float(), labels[:, None] > 0)
    with pytest.raises(ValueError, match="same number of segment levels"):
        metric.update([labels], labels, labels[:, None].float(), labels[:, None] > 0)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_without_an_image_there_is_no_figure():
    with pytest.raises(ValueError, match="without an image"):
        SegmentQuality().compute()


def test_a_negative_tolerance_is_refused():
    with pytest.raises(ValueError, match="tolerance"):
        SegmentQuality(tolerance=-1)
