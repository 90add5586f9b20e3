"""Depth-ratio boundary F1 against plain loops over neighbours."""

import math

import pytest
import torch

from lightning_modules.metrics import EvalProtocol
from lightning_modules.metrics.depth_boundary import KEYS, DepthBoundaryF1, per_image_depth_boundary
from tests.helpers.metric_tester import MetricTester

PROTOCOL = EvalProtocol("test", min_depth=0.1, max_depth=8.0)
NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0))
RATIOS = [1.05 + 0.2 * i / 9 for i in range(10)]


def occlusions(depth, valid, step, ratio):
    """Pixels whose neighbour at the given step is more than `ratio` times as deep."""
    height, width = valid.shape
    found = set()
    for row in range(height):
        for column in range(width):
            r, c = row + step[0], column + step[1]
            inside = 0 <= r < height and 0 <= c < width
            if inside and valid[row, column] and valid[r, c] and depth[r, c] / depth[row, column] > ratio:
                found.add((row, column))
    return found


def loop_figures(prediction, target, valid):
    """(precision, recall, F1) of one image by the definition, or None if the truth has no occlusion."""
    total, weight, any_true = [0.0, 0.0, 0.0], sum(RATIOS), False
    for ratio in RATIOS:
        pairs = [[occlusions(depth, valid, step, ratio) for depth in (prediction, target)] for step in NEIGHBOURS]
        any_true = any_true or any(true for _, true in pairs)
        precision = sum(len(found & true) / len(found) if found else 0 for found, true in pairs) / 4
        recall = sum(len(found & true) / len(true) if true else 0 for found, true in pairs) / 4
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0
        total = [old + ratio / weight * new for old, new in zip(total, (precision, recall, f1), strict=True)]
    return total if any_true else None


class TestDepthBoundaryF1(MetricTester):
    averages_images = True

    def make(self):
        return DepthBoundaryF1(PROTOCOL)

    def inputs(self):
        generator = torch.Generator().manual_seed(0)
        target = 2 * (0.15 * torch.randn(6, 1, 7, 8, generator=generator)).exp()
        prediction = target * (0.1 * torch.randn(target.shape, generator=generator)).exp()
        valid = torch.rand(target.shape, generator=generator) < 0.9
        valid[4] = False
        target[2] = 3.0  # no occlusion
        prediction[5, 0, 0] = -1.0  # clamped
        return prediction, target.where(valid, 0.0), valid

    def reference(self, prediction, target, valid):
        prediction = prediction.double().clamp(PROTOCOL.min_depth, PROTOCOL.max_depth)
        images = zip(*(part[:, 0].numpy() for part in (prediction, target.double(), valid)), strict=True)
        seen = [figures for image in images if (figures := loop_figures(*image))]
        means = {name: sum(column) / len(seen) for name, column in zip(KEYS, zip(*seen, strict=True), strict=True)}
        return means | {"excluded": len(valid) - len(seen), "nonfinite": 0}


def evaluate(prediction, target, **options):
    metric = DepthBoundaryF1(PROTOCOL, **options)
    metric.update(prediction, target, torch.ones_like(target, dtype=torch.bool))
    return {name: float(figure) for name, figure in metric.compute().items()}


def row(*depths: float) -> torch.Tensor:
    return torch.tensor(depths).view(1, 1, 1, -1)


def test_precision_is_of_the_predicted_and_recall_of_the_true_edges():
    # Rightwards: one true step, found among two predicted ones. The other three directions are empty and count 0.
    figures = evaluate(row(1, 2, 2, 4), row(1, 2, 2, 2))
    assert figures["depth_boundary_precision"] == pytest.approx(0.5 / 4)
    assert figures["depth_boundary_recall"] == pytest.approx(1 / 4)
    swapped = evaluate(row(1, 2, 2, 2), row(1, 2, 2, 4))
    assert swapped["depth_boundary_precision"] == figures["depth_boundary_recall"]
    assert swapped["depth_boundary_recall"] == figures["depth_boundary_precision"]


def test_the_ratio_must_exceed_the_threshold():
    figures = evaluate(row(1.0, 1.25), row(1.0, 2.0), ratios=(1.125, 1.25))
    assert figures["depth_boundary_recall"] == pytest.approx(1.125 / (1.125 + 1.25) / 4)


def test_a_checkerboard_predicted_to_scale_is_perfect_and_one_shifted_has_no_edge_right():
    board = 1 + (torch.arange(8)[:, None] + torch.arange(9)).remainder(2).float().view(1, 1, 8, 9)
    for factor in (1.0, 2.5):
        assert [evaluate(factor * board, board)[name] for name in KEYS] == pytest.approx([1, 1, 1])
    assert [evaluate(3 - board, board)[name] for name in KEYS] == [0, 0, 0]


def test_a_constant_prediction_has_no_edge_right():
    figures = evaluate(row(2, 2, 2), row(1, 2, 4))
    assert tuple(figures.values()) == (0, 0, 0, 0, 0)


def test_negative_depths_left_by_a_protocol_without_clamp_make_no_edge_among_themselves():
    metric = DepthBoundaryF1(EvalProtocol("unclamped", min_depth=0.1, max_depth=8.0, clamp=False))
    metric.update(row(-1, -2), row(1, 2), torch.ones(1, 1, 1, 2, dtype=torch.bool))
    assert metric.compute()["depth_boundary_recall"] == 0


def test_per_image_figures_are_those_the_metric_averages():
    inputs = TestDepthBoundaryF1().inputs()
    figures = per_image_depth_boundary(*PROTOCOL.prepare(*inputs))
    metric = DepthBoundaryF1(PROTOCOL)
    metric.update(*inputs)
    averages = metric.compute()
    for name, figure in figures.items():
        assert figure.isnan().nonzero().flatten().tolist() == [2, 4]
        assert float(figure.nanmean()) == pytest.approx(float(averages[name]))


def test_a_nonfinite_prediction_on_a_flat_truth_is_not_excluded_in_silence():
    figures = evaluate(row(1, math.nan, 1), row(2, 2, 2))
    assert (figures["nonfinite"], figures["excluded"]) == (1, 0)
    assert math.isnan(figures["depth_boundary_f1"])


@pytest.mark.parametrize("ratios", [(), (0.9,), (1.2, 1.1)])
def test_ratios_must_ascend_from_above_one(ratios):
    with pytest.raises(ValueError, match="ascend"):
        DepthBoundaryF1(PROTOCOL, ratios=ratios)
