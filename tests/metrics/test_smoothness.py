"""Roughness within objects against a loop over pixels, and surfaces whose roughness is known."""

import math

import numpy as np
import pytest
import torch

from lightning_modules.metrics import EvalProtocol, ObjectRoughness
from tests.helpers.metric_tester import MetricTester

PROTOCOL = EvalProtocol("test", min_depth=0.125, max_depth=12.0)
STEP, MARGIN = 1, 2


def loop(predicted, true, valid, objects):
    """Both figures of one image."""
    predicted, valid = np.clip(predicted, 0.125, 12), valid & (true > 0.125) & (true < 12)
    height, width = true.shape
    values = []
    for row, column in np.ndindex(true.shape):
        reach = [place for place in np.ndindex(true.shape) if math.dist(place, (row, column)) <= MARGIN]
        cross = [(row - STEP, column), (row + STEP, column), (row, column - STEP), (row, column + STEP)]
        inside = all(0 <= y < height and 0 <= x < width for y, x in cross)
        if not inside or not objects[row, column] or any(objects[p] != objects[row, column] for p in reach):
            continue
        if all(valid[place] for place in [(row, column), *cross]):
            values.append(
                [
                    100 * abs(np.mean([math.log(map_[p]) for p in cross]) - math.log(map_[row, column]))
                    for map_ in (predicted, true)
                ]
            )
    return np.mean(values, axis=0) if values else [np.nan] * 2


class TestObjectRoughness(MetricTester):
    averages_images = True

    def make(self):
        return ObjectRoughness(PROTOCOL, STEP, MARGIN)

    def inputs(self):
        generator = torch.Generator().manual_seed(0)
        target = 1 + 11.5 * torch.rand(7, 1, 14, 17, generator=generator)
        prediction = target * (1 + 0.1 * torch.randn(target.shape, generator=generator))
        valid = torch.rand(target.shape, generator=generator) < 0.9
        valid[2] = False
        target[:, 0, :5, :5], valid[0, 0, :5, :5] = 3.0, True
        valid[0, 0, 0] = False
        valid[0, 0, 0, 2] = True  # the first valid pixel is the uppermost of a cross
        instances = torch.ones(7, 14, 17, dtype=torch.int64)
        instances[:, 7:, :9] = 5 * 65536 + 2
        instances[:, :7, 10:] = 0
        instances[4] = 0
        return prediction, target.where(valid, 0.0), valid, instances

    def reference(self, prediction, target, valid, instances):
        maps = [map_.squeeze(1).double().numpy() for map_ in (prediction, target)]
        rows = np.array([loop(*image) for image in zip(*maps, valid[:, 0].numpy(), instances.numpy(), strict=True)])
        seen = ~np.isnan(rows[:, 0])
        figures = dict(zip(ObjectRoughness.figures, rows[seen].mean(0) if seen.any() else rows[0], strict=True))
        return figures | {"excluded": int((~seen).sum()), "nonfinite": 0}

    def test_the_inputs_exclude_images(self):
        assert self.reference(*self.inputs())["excluded"] == 2


def evaluate(prediction, target, instances=None, **options):
    metric = ObjectRoughness(PROTOCOL, **options)
    instances = torch.ones_like(target[:, 0], dtype=torch.int64) if instances is None else instances
    metric.update(prediction, target, target > 0, instances)
    return {name: float(figure) for name, figure in metric.compute().items()}


def test_checkerboard_noise():
    """Every pixel is e^0.02 above or below all of its neighbours: 2 % from the mean of their logarithms."""
    flat = torch.full((1, 1, 40, 50), 3.0, dtype=torch.float64)
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(50), indexing="ij")
    rough = flat * (0.01 * (-1.0) ** (rows + columns)).exp()
    assert evaluate(rough, flat, step=1)["object_roughness"] == pytest.approx(2)
    assert evaluate(rough, flat, step=1)["object_roughness_truth"] == pytest.approx(0, abs=1e-12)
    assert evaluate(rough, flat, step=2)["object_roughness"] == pytest.approx(0, abs=1e-12)
    assert evaluate(0.5 * rough, flat, step=1)["object_roughness"] == pytest.approx(2)  # whatever the scale


def test_the_slope_of_a_floor_hardly_counts():
    """A floor 1.5 m below a camera as NYUv2's, 3 m away: 1 / depth is linear in the row."""
    rows = torch.arange(200, 320, dtype=torch.float64)
    floor = (519 * 1.5 / rows).view(1, 1, -1, 1).expand(-1, -1, -1, 60)
    at = 519 * 1.5 / 3
    assert evaluate(floor, floor)["object_roughness"] == pytest.approx(100 * (4 / at) ** 2 / 4, rel=0.1)


def test_a_step_between_two_objects_does_not_count_however_it_is_blurred():
    depth = torch.full((1, 1, 40, 60), 2.0)
    depth[..., 30:] = 4.0
    depth[..., 28:32] = torch.tensor([2.4, 2.8, 3.2, 3.6])
    instances = torch.ones(1, 40, 60, dtype=torch.int64)
    instances[..., 30:] = 2
    assert evaluate(depth, depth, instances)["object_roughness"] == pytest.approx(0, abs=1e-6)
    assert evaluate(depth, depth)["object_roughness"] > 0.1


def test_a_frame_smaller_than_the_cross_is_excluded():
    depth = torch.ones(1, 1, 3, 3)
    figures = evaluate(depth, depth)
    assert figures["excluded"] == 1
    assert math.isnan(figures["object_roughness"])


@pytest.mark.parametrize("options", [{"step": 0}, {"step": 9, "margin": 8}])
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match=r"need 1 <= `smoothness\.step` <= `smoothness\.margin`"):
        ObjectRoughness(PROTOCOL, **options)
