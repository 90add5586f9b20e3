"""Flatness of walls, floors and ceilings against NumPy and SciPy, region by region, and rooms known in advance."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from lightning_modules.metrics import EvalProtocol, LayoutFlatness
from lightning_modules.metrics.layout_flatness import KEYS, KINDS
from tests.helpers.metric_tester import MetricTester
from tests.metrics.test_planarity import loop_normal

PROTOCOL = EvalProtocol("test", min_depth=0.1, max_depth=20.0)
CAMERA = torch.tensor([[20.0, 0.0, 7.5], [0.0, 25.0, 5.0], [0.0, 0.0, 1.0]])
SIZE = (12, 16)


def rays_of(camera: np.ndarray, pixels: list[tuple[int, int]]) -> np.ndarray:
    return np.array([((x - camera[0, 2]) / camera[0, 0], (y - camera[1, 2]) / camera[1, 1], 1.0) for y, x in pixels])


def planes_of(predicted, true, valid, labels, camera, min_area, max_rms):
    """Kind, flatness, orientation and flatness of the truth of every plane of one image."""
    planes = []
    for kind, id_ in KINDS.items():
        regions, count = ndimage.label(labels == id_)  # 4 neighbours
        for region in range(1, count + 1):
            pixels = [(y, x) for y, x in np.argwhere(regions == region) if valid[y, x]]
            if len(pixels) < max(3, min_area * labels.size):
                continue
            rays, d = rays_of(camera, pixels), np.array([true[place] for place in pixels])
            p = np.array([predicted[place] for place in pixels])
            normal, rms = loop_normal(rays * d[:, None])
            if rms > max_rms:
                continue
            found, flatness = loop_normal(rays * (p * np.median(d) / np.median(p))[:, None])
            angle = min(
                2 * math.atan2(np.linalg.norm(found - sign * normal), np.linalg.norm(found + sign * normal))
                for sign in (1, -1)
            )
            planes.append((kind, flatness, math.degrees(angle), rms))
    return planes


class TestLayoutFlatness(MetricTester):
    tolerance = 1e-9
    counts = ("layout_planes", "excluded", "nonfinite")

    def make(self):
        return LayoutFlatness(PROTOCOL, min_area=0.1, max_rms=0.2)

    def inputs(self):
        generator = torch.Generator().manual_seed(0)
        labels = torch.ones(7, *SIZE, dtype=torch.int64)
        labels[:, 6:, :8] = KINDS["floor"]
        labels[:, 7:, 10:] = KINDS["ceiling"]
        labels[:, :, 9] = 5  # the wall falls apart
        labels[:, 0, 15] = KINDS["floor"]  # too small
        target = 4 + 0.3 * torch.rand(7, 1, *SIZE, generator=generator)
        target[:, :, :6, 10:] *= torch.linspace(1, 3, 6)[:, None] ** 2  # not flat
        prediction = 1.3 * target + 0.1 * torch.randn(target.shape, generator=generator)
        valid = torch.rand(target.shape, generator=generator) < 0.9
        valid[2] = False
        valid[0, 0, 0, 0] = True
        labels[5] = 7
        cameras = CAMERA + torch.rand(7, 1, 1, generator=generator) * torch.tensor([[3.0, 0, 1], [0, 2, 1], [0, 0, 0]])
        return prediction, target.where(valid, 0.0), valid, labels, cameras

    def reference(self, prediction, target, valid, labels, cameras):
        planes, excluded = [], 0
        for p, d, v, ids, camera in zip(prediction[:, 0], target[:, 0], valid[:, 0], labels, cameras, strict=True):
            arrays = (part.double().numpy() for part in (p, d))
            own = planes_of(*arrays, v.numpy(), ids.numpy(), camera.double().numpy(), 0.1, 0.2)
            excluded += not own
            planes += own
        figures = {"layout_planes": len(planes), "excluded": excluded, "nonfinite": 0}
        for kind in (*KINDS, "layout"):
            rows = np.array([row[1:] for row in planes if kind in (row[0], "layout")])
            flatness, angle, rms = rows.mean(0) if len(rows) else [math.nan] * 3
            figures |= {f"{kind}_flatness": flatness, f"{kind}_orientation": angle}
        return figures | {"layout_flatness_truth": rms}

    def test_the_inputs_have_planes_of_every_kind_and_leave_some_out(self):
        figures = self.reference(*self.inputs())
        assert (figures["layout_planes"], figures["excluded"]) == (3 * 5, 2)
        assert not any(math.isnan(value) for value in figures.values())


def depth_of_plane(normal: tuple[float, float, float], offset: float) -> torch.Tensor:
    """(1, 1, H, W) depth of the plane normal . X = offset."""
    pixels = list(np.ndindex(SIZE))
    depth = offset / (rays_of(CAMERA.double().numpy(), pixels) @ np.array(normal))
    return torch.from_numpy(depth).view(1, 1, *SIZE)


def evaluate(prediction, target, labels=None, protocol=PROTOCOL, **options):
    labels = torch.ones(1, *SIZE, dtype=torch.int64) if labels is None else labels
    metric = LayoutFlatness(protocol, **options)
    metric.update(prediction, target, torch.ones_like(target, dtype=torch.bool), labels, CAMERA[None])
    return {name: float(figure) for name, figure in metric.compute().items()}


def test_a_wall_turned_by_ten_degrees_and_of_another_scale_is_flat():
    turn = math.radians(10)
    turned = depth_of_plane((-math.sin(turn), 0, math.cos(turn)), 5.0)
    figures = evaluate(turned, depth_of_plane((0, 0, 1), 3.0))
    assert figures["wall_orientation"] == pytest.approx(10)
    assert figures["wall_flatness"] == pytest.approx(0, abs=1e-9)
    assert figures["layout_orientation"] == figures["wall_orientation"]
    assert math.isnan(figures["floor_flatness"])


def test_flatness_is_in_metres_whatever_the_protocol_s_unit():
    wall = torch.full((1, 1, *SIZE), 2.0, dtype=torch.float64)
    rough = wall.clone()
    rough[..., ::2, ::2], rough[..., 1::2, 1::2] = 2.02, 1.98  # a quarter of the points each, the median stays
    tenths = EvalProtocol("unit", 0.1, 20.0, unit=10.0)
    # the plane is not quite that of the wall, which lowers the deviation of 0.02 / sqrt(2)
    for protocol in (PROTOCOL, tenths):
        figures = evaluate(rough, wall, protocol=protocol)
        assert figures["wall_flatness"] == pytest.approx(0.02 / math.sqrt(2), rel=0.02)


def test_distances_to_the_camera_are_flat_only_if_taken_as_such():
    z = depth_of_plane((0, 0, 1), 3.0)
    pixels = list(np.ndindex(SIZE))
    radial = z * torch.from_numpy(np.linalg.norm(rays_of(CAMERA.double().numpy(), pixels), axis=1)).view(1, 1, *SIZE)
    distance = EvalProtocol("radial", 0.1, 20.0, radial=True)
    assert evaluate(radial, radial, protocol=distance)["layout_flatness_truth"] == pytest.approx(0, abs=1e-9)
    assert evaluate(radial, radial, max_rms=1.0)["layout_flatness_truth"] > 0.01


def test_a_wall_around_a_corner_is_no_plane():
    left, right = depth_of_plane((-0.7, 0, 0.7), 3.0), depth_of_plane((0.7, 0, 0.7), 3.0)
    corner = torch.minimum(left, right)
    assert evaluate(corner, corner)["excluded"] == 1
    labels = torch.ones(1, *SIZE, dtype=torch.int64)
    labels[..., 7:9] = 0  # the labels tell the walls apart
    figures = evaluate(corner, corner, labels)
    assert (figures["layout_planes"], figures["excluded"]) == (2, 0)


def test_a_prediction_of_zero_has_no_scale_and_is_counted():
    wall = depth_of_plane((0, 0, 1), 3.0)
    loose = EvalProtocol("loose", 0.1, 20.0, clamp=False)
    figures = evaluate(torch.zeros_like(wall), wall, protocol=loose)
    assert figures["nonfinite"] == wall.numel()
    assert all(math.isnan(figures[name]) for name in KEYS)


@pytest.mark.parametrize("options", [{"min_area": 1.5}, {"max_rms": 0}])
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match=r"`layout\.min_area` is a share of the frame"):
        LayoutFlatness(PROTOCOL, **options)


def test_maps_that_do_not_fit_are_refused():
    depth = torch.ones(1, 1, *SIZE)
    labels, metric = torch.ones(1, *SIZE, dtype=torch.int64), LayoutFlatness(PROTOCOL)
    with pytest.raises(ValueError, match=r"intrinsics must be \(B, 3, 3\) = \(1, 3, 3\)"):
        metric.update(depth, depth, depth > 0, labels, CAMERA)
    with pytest.raises(ValueError, match="labels must be integers"):
        metric.update(depth, depth, depth > 0, labels.float(), CAMERA[None])
