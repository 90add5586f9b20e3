"""Planarity errors against NumPy (eigenvectors of the covariance, plane by plane), and planes known in advance."""

import math

import numpy as np
import pytest
import torch

from lightning_modules.metrics import EvalProtocol
from lightning_modules.metrics.planarity import PlanarityErrors
from tests.helpers.metric_tester import MetricTester

METRES = EvalProtocol("test", min_depth=0.1, max_depth=20.0)
CAMERA = torch.tensor([[20.0, 0.0, 7.5], [0.0, 25.0, 5.0], [0.0, 0.0, 1.0]])


def loop_normal(points):
    """Normal of the best plane through points, and their standard deviation along it."""
    variances, axes = np.linalg.eigh(np.cov(points.T, bias=True))
    distances = (points - points.mean(0)) @ axes[:, 0]
    assert variances[0] <= variances[1]
    return axes[:, 0], distances.std()


def loop_reference(min_area, prediction, target, valid, planes, parameters, intrinsics):
    flatness, angles, excluded = [], [], 0
    for p, d, v, ids, rows, k in zip(
        prediction[:, 0], target[:, 0], valid[:, 0], planes, parameters, intrinsics, strict=True
    ):
        p, d, v, ids, rows, k = (part.double().numpy() for part in (p, d, v, ids, rows, k))
        seen = 0
        for plane in range(1, len(rows) + 1):
            pixels = [(y, x) for y, x in np.argwhere(ids == plane) if v[y, x]]
            if (ids == plane).sum() < min_area * ids.size or len(pixels) < 3:
                continue
            seen += 1
            scale = np.median([d[y, x] for y, x in pixels]) / np.median([p[y, x] for y, x in pixels])
            rays = [((x - k[0, 2]) / k[0, 0], (y - k[1, 2]) / k[1, 1], 1.0) for y, x in pixels]
            cloud = np.array([np.array(ray) * p[y, x] * scale for ray, (y, x) in zip(rays, pixels, strict=True)])
            truth = np.array([np.array(ray) * d[y, x] for ray, (y, x) in zip(rays, pixels, strict=True)])
            normal, deviation = loop_normal(cloud)
            true = loop_normal(truth)[0] if np.isnan(rows[plane - 1, 0]) else rows[plane - 1, :3]
            true = true / np.linalg.norm(true)
            # Kahan's angle between two directions, of which the sign does not count.
            angle = min(
                2 * math.atan2(np.linalg.norm(normal - sign * true), np.linalg.norm(normal + sign * true))
                for sign in (1, -1)
            )
            flatness.append(100 * deviation)
            angles.append(math.degrees(angle))
        excluded += not seen
    return {
        "planarity_flatness": np.mean(flatness),
        "planarity_orientation": np.mean(angles),
        **{"planes": len(flatness), "excluded": excluded, "nonfinite": 0},
    }


def depth_of_plane(normal, offset, size=(12, 16)):
    """(H, W) depth of the plane normal . X + offset = 0 in the camera, float64."""
    rows, columns = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
    rays = torch.stack([(columns - 7.5) / 20, (rows - 5) / 25, torch.ones_like(rows)], dim=2)
    return -offset / (rays @ torch.tensor(normal, dtype=torch.float64))


class TestPlanarityErrors(MetricTester):
    tolerance = 1e-9
    counts = ("planes", "excluded", "nonfinite")

    def make(self):
        return PlanarityErrors(METRES, min_area=0.1)

    def inputs(self):
        generator = torch.Generator().manual_seed(0)
        target = 4 + torch.rand(7, 1, 12, 16, generator=generator)
        prediction = 1.3 * target + 0.3 * torch.randn(target.shape, generator=generator)
        valid = torch.rand(target.shape, generator=generator) < 0.8
        valid[2] = False
        planes = torch.ones(7, 12, 16, dtype=torch.int64)
        planes[:, 5:, :7] = 2
        planes[:, 5:, 7:] = 0
        planes[:, 9:, 9:] = 4  # without parameters
        planes[:, 5:6, 10:] = 3  # too small
        parameters = torch.randn(7, 5, 4, generator=generator)
        parameters[:, 3:] = torch.nan
        parameters[0] = torch.nan
        cameras = CAMERA + torch.rand(7, 1, 1, generator=generator) * torch.tensor([[3.0, 0, 1], [0, 2, 1], [0, 0, 0]])
        return prediction, target.where(valid, 0.0), valid, planes, parameters, cameras

    def reference(self, *inputs):
        return loop_reference(0.1, *inputs)

    def test_the_inputs_exclude_an_image_and_small_planes(self):
        figures = self.reference(*self.inputs())
        assert (figures["planes"], figures["excluded"]) == (3 * 6, 1)


def evaluate(prediction, target, normal=(math.nan,) * 3, valid=None, planes=None, **options):
    """Figures of one image with one plane."""
    prediction, target = prediction[None, None], target[None, None]
    valid = torch.ones(target.shape, dtype=torch.bool) if valid is None else valid[None, None]
    planes = torch.ones_like(target[:, 0], dtype=torch.int64) if planes is None else planes[None]
    metric = PlanarityErrors(options.pop("protocol", METRES), **options)
    parameters = torch.tensor([[[*normal, math.nan]]], dtype=torch.float64)
    metric.update(prediction, target, valid, planes, parameters, CAMERA[None])
    return {name: float(figure) for name, figure in metric.compute().items()}


def test_a_plane_turned_by_ten_degrees():
    turn = math.radians(10)
    wall, turned = depth_of_plane((0.0, 0.0, -1.0), 3.0), depth_of_plane((math.sin(turn), 0, -math.cos(turn)), 3.0)
    for normal in ((0.0, 0.0, -1.0), (0.0, 0.0, 2.0), (math.nan,) * 3):  # whatever its sign and length, or fitted
        figures = evaluate(turned, wall, normal)
        assert figures["planarity_orientation"] == pytest.approx(10, rel=1e-9)
        assert figures["planarity_flatness"] == pytest.approx(0, abs=1e-9)


def test_annotated_normals_win_over_fitted_ones():
    wall = depth_of_plane((0.0, 0.0, -1.0), 3.0)
    assert evaluate(wall, wall, (0.0, 1.0, 0.0))["planarity_orientation"] == pytest.approx(90)


def test_flatness_is_in_centimetres_and_after_the_scaling_to_the_truth():
    wall = torch.full((12, 16), 2.0, dtype=torch.float64)
    rough = wall.clone()
    rough[::2, ::2], rough[1::2, 1::2] = 2.02, 1.98  # a quarter of the points each, the median stays
    figures = evaluate(rough, wall)
    assert figures["planarity_flatness"] == pytest.approx(2 / math.sqrt(2), rel=1e-2)
    assert evaluate(3 * rough, wall) == pytest.approx(figures)
    decimetres = EvalProtocol("decimetres", min_depth=0.1, max_depth=20.0, unit=0.1)
    assert evaluate(rough, wall, protocol=decimetres) == pytest.approx(figures)


def test_planes_cover_a_share_of_the_image():
    wall = torch.full((12, 16), 2.0)
    planes = torch.zeros(12, 16, dtype=torch.int64)
    planes[:3, :4] = 1  # a sixteenth
    valid = torch.zeros(12, 16, dtype=torch.bool)
    valid[:2, :2] = True  # annotated pixels make the area, measured or not
    assert evaluate(wall, wall, planes=planes, valid=valid, min_area=1 / 16)["planes"] == 1
    assert evaluate(wall, wall, planes=planes, valid=valid, min_area=1 / 15)["planes"] == 0
    assert evaluate(wall, wall, planes=planes, valid=valid)["planes"] == 1


@pytest.mark.parametrize(
    ("pixels", "count"),
    [
        ([], 0),
        ([(3, 4)], 0),
        ([(3, 4), (5, 9)], 0),
        ([(0, 0), (3, 4), (9, 12)], 0),
        ([(7, column) for column in range(16)], 0),
        ([(3, 4), (5, 9), (4, 4)], 1),
    ],
)
def test_three_pixels_off_a_line_make_a_plane(pixels, count):
    wall = torch.full((12, 16), 2.0)
    valid = torch.zeros(12, 16, dtype=torch.bool)
    for row, column in pixels:
        valid[row, column] = True
    figures = evaluate(wall, wall, valid=valid)
    assert (figures["planes"], figures["excluded"]) == (count, 1 - count)
    expected = pytest.approx(0, abs=1e-9) if count else pytest.approx(math.nan, nan_ok=True)
    assert figures["planarity_flatness"] == expected


def test_a_plane_that_cannot_be_scaled_spoils_the_figures():
    wall = torch.full((12, 16), 2.0)
    unclamped = EvalProtocol("unclamped", min_depth=0.1, max_depth=20.0, clamp=False)
    figures = evaluate(torch.zeros(12, 16), wall, protocol=unclamped)
    assert math.isnan(figures["planarity_flatness"])
    assert math.isnan(figures["planarity_orientation"])
    assert figures["nonfinite"] == 12 * 16


def test_planes_without_a_row_of_parameters_are_refused():
    wall = torch.full((12, 16), 2.0)
    with pytest.raises(ValueError, match=r"ids 0\.\.1.*got 2\.\.2"):
        evaluate(wall, wall, planes=torch.full((12, 16), 2))


def test_shapes_that_do_not_fit_are_refused():
    wall = torch.full((12, 16), 2.0)
    with pytest.raises(ValueError, match=r"\(1, 12, 16\).*got \(1, 6, 8\)"):
        evaluate(wall, wall, planes=torch.ones(6, 8, dtype=torch.int64))


def test_an_area_is_a_share():
    with pytest.raises(ValueError, match="min_area"):
        PlanarityErrors(METRES, min_area=5)
