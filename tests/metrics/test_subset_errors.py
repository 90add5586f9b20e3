"""Errors by range of depth, near borders of labels and on thin things, against loops over pixels in NumPy."""

import math

import numpy as np
import pytest
import torch

from lightning_modules.metrics import BorderErrors, DepthErrors, EvalProtocol, RangeErrors, ThinErrors
from tests.helpers.metric_tester import MetricTester

PROTOCOL = EvalProtocol("test", min_depth=0.125, max_depth=12.0)
POOLED = EvalProtocol("pooled", min_depth=0.125, max_depth=12.0, averaging="pooled", unit=10.0)


def errors(pairs: list[tuple[float, float]]) -> dict[str, float]:
    """Errors of (prediction, truth) pairs, NaN without any."""
    if not pairs:
        return dict.fromkeys(("abs_rel", "rmse", "delta1"), math.nan)
    return {
        "abs_rel": np.mean([abs(p - d) / d for p, d in pairs]),
        "rmse": math.sqrt(np.mean([(p - d) ** 2 for p, d in pairs])),
        "delta1": np.mean([max(p / d, d / p) < 1.25 for p, d in pairs]),
    }


def loop(protocol, names, subset_of, prediction, target, valid, *labels) -> dict[str, float]:
    """Figures and counts; ``subset_of`` a pixel (depth in metres, row, column, label map) is a name of one or None."""
    images = []
    for image in range(len(target)):
        pairs: dict[str, list] = {name: [] for name in names}
        ids = labels[0][image].numpy() if labels else None
        for row, column in np.ndindex(target.shape[-2:]):
            true, predicted = (float(map_[image, 0, row, column].double()) for map_ in (target, prediction))
            if not (valid[image, 0, row, column] and protocol.min_depth < true < protocol.max_depth):
                continue
            name = subset_of(true, row, column, ids)
            if name is not None:
                clamped = min(max(predicted, protocol.min_depth), protocol.max_depth)
                pairs[name].append((clamped / protocol.unit, true / protocol.unit))
        images.append(pairs)
    figures = {"excluded": sum(not any(pairs.values()) for pairs in images), "nonfinite": 0}
    for name in names:
        if protocol.averaging == "pooled":
            found = errors([pair for pairs in images for pair in pairs[name]])
        else:
            each = [errors(pairs[name]) for pairs in images if pairs[name]]
            found = {key: np.mean([one[key] for one in each]) if each else math.nan for key in errors([])}
        figures |= {f"{key}_{name}": value for key, value in found.items()}
    return figures


def maps(seed: int = 0):
    """Seven images of 12 x 15 with depth from 0 to 13 m; the third has no valid pixel."""
    generator = torch.Generator().manual_seed(seed)
    target = 13 * torch.rand(7, 1, 12, 15, generator=generator)
    target[4] = target[4].clamp(max=1.9)  # no far pixel
    prediction = target * (1 + 0.2 * torch.randn(target.shape, generator=generator))
    valid = torch.rand(target.shape, generator=generator) < 0.8
    target[:, 0, 0, 0] = 1.5
    valid[:, 0, 0, 0] = True
    valid[2] = False
    return prediction, target.where(valid, 0.0), valid


class TestRange(MetricTester):
    averages_images = True
    protocol = PROTOCOL

    def make(self):
        return RangeErrors(self.protocol, (0, 2, 5, 10))

    def inputs(self):
        return maps()

    def reference(self, *inputs):
        bands = {"at_0_2": (0, 2), "at_2_5": (2, 5), "at_5_10": (5, 10), "at_10_up": (10, math.inf)}

        def band(depth, *_):
            return next(name for name, (low, high) in bands.items() if low < depth <= high)

        figures = loop(self.protocol, list(bands), band, *inputs)
        return {name: value for name, value in figures.items() if not name.startswith("delta1")}


class TestPooledRange(TestRange):
    averages_images = False
    protocol = POOLED


def labels_of(images: int = 7, size: tuple[int, int] = (12, 15)) -> torch.Tensor:
    """Four classes in blocks, with an unlabelled strip, and a thin line; the sixth image has no label."""
    labels = torch.ones(images, *size, dtype=torch.int64)
    labels[:, 5:, :7] = 4
    labels[:, 5:, 7:] = 0
    labels[:, 6:, 8:] = 39
    labels[:, :, 12] = 2
    labels[5] = 0
    return labels


class TestBorder(MetricTester):
    averages_images = True

    def make(self):
        return BorderErrors(PROTOCOL, 2.5)

    def inputs(self):
        return *maps(1), labels_of()

    def reference(self, *inputs):
        def part(_, row, column, ids):
            own = ids[row, column]
            if not own:
                return None
            others = [place for place in np.ndindex(ids.shape) if ids[place] not in (0, own)]
            near = any(math.dist(place, (row, column)) <= 2.5 for place in others)
            return "border" if near else "interior"

        return loop(PROTOCOL, ["border", "interior"], part, *inputs)

    def test_an_image_without_labels_is_excluded(self):
        assert self.reference(*self.inputs())["excluded"] == 2


class TestThin(MetricTester):
    averages_images = True

    def make(self):
        return ThinErrors(PROTOCOL, 0.1)  # 1.9 pixels of the diagonal of 19.2

    def inputs(self):
        labels = labels_of()
        labels[:, 0, 0] = 7  # a thing of one pixel
        labels[5] = 0
        return *maps(2), labels

    def reference(self, prediction, target, valid, labels):
        radius = 0.1 * math.hypot(*labels.shape[1:])

        def disc(ids, row, column):
            return [place for place in np.ndindex(ids.shape) if math.dist(place, (row, column)) <= radius]

        def part(_, row, column, ids):
            own = ids[row, column]
            fits = any(all(ids[place] == own for place in disc(ids, *centre)) for centre in disc(ids, row, column))
            return "thin" if own and not fits else None

        return loop(PROTOCOL, ["thin"], part, prediction, target, valid, labels)


def test_ranges_are_those_below_the_protocol_s_end_and_together_are_all_pixels():
    prediction, target, valid = maps()
    near = EvalProtocol("near", min_depth=0.1, max_depth=10.0, averaging="pooled")
    parts, whole = RangeErrors(near), DepthErrors(near)
    for metric in (parts, whole):
        metric.update(prediction, target, valid)
    figures = parts.compute()
    assert [name for name in figures if name.startswith("rmse")] == ["rmse_at_0_2", "rmse_at_2_5", "rmse_at_5_10"]
    evaluated = target[valid & (target > 0.1) & (target < 10)]
    counts = [int(((evaluated > low) & (evaluated <= high)).sum()) for low, high in ((0, 2), (2, 5), (5, 10))]
    squares = [float(figures[f"rmse_at_{name}"]) ** 2 for name in ("0_2", "2_5", "5_10")]
    pooled = sum(n * square for n, square in zip(counts, squares, strict=True)) / sum(counts)
    assert math.sqrt(pooled) == pytest.approx(float(whole.compute()["rmse"]), rel=1e-12)


def test_a_relative_error_by_the_prediction():
    protocol = EvalProtocol("inverse", 0.1, 10.0, relative_to="prediction")
    depth = torch.full((1, 1, 4, 4), 2.0)
    metric = RangeErrors(protocol)
    metric.update(2 * depth, depth, depth > 0)
    assert float(metric.compute()["abs_rel_at_0_2"]) == 0.5


def test_truth_clipped_to_the_protocol_s_end_belongs_to_the_last_range():
    protocol = EvalProtocol("clipped", 0.1, 10.0, clip_truth=True)
    metric = RangeErrors(protocol)
    metric.update(torch.full((1, 1, 4, 4), 9.0), torch.full((1, 1, 4, 4), 30.0), torch.ones(1, 1, 4, 4).bool())
    assert float(metric.compute()["rmse_at_5_10"]) == 1


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: RangeErrors(PROTOCOL, (2, 1)), "`range.edges` must ascend"),
        (lambda: RangeErrors(PROTOCOL, (12, 15)), "begin below max_depth"),
        (lambda: RangeErrors(PROTOCOL, (-1, 2)), "from 0 m or more"),
        (lambda: BorderErrors(PROTOCOL, 0.5), "`label_border.distance` must be at least 1 pixel"),
        (lambda: ThinErrors(PROTOCOL, 0), "`thin.radius` is a share"),
    ],
)
def test_bad_options_are_refused(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()


def test_labels_of_another_size_are_refused():
    depth = torch.ones(1, 1, 4, 4)
    for metric in (BorderErrors(PROTOCOL), ThinErrors(PROTOCOL)):
        with pytest.raises(ValueError, match=r"\(B, H, W\) = \(1, 4, 4\), got torch.int64 \(1, 2, 2\)"):
            metric.update(depth, depth, depth > 0, torch.ones(1, 2, 2, dtype=torch.int64))
