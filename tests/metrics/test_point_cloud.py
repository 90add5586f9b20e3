"""Point-cloud distances against worked examples and brute force over all pairs of points."""

import math
from dataclasses import replace

import pytest
import torch

from lightning_modules.metrics.point_cloud import PointCloudChamfer, pixel_rays
from lightning_modules.metrics.protocol import EvalProtocol
from tests.helpers.metric_tester import MetricTester

PROTOCOL = EvalProtocol("test", min_depth=0.1, max_depth=8.0)
TENTHS = EvalProtocol("tenths", min_depth=0.1, max_depth=8.0, unit=10.0)
PINHOLE = [[12.0, 0.0, 5.5], [0.0, 11.0, 4.0], [0.0, 0.0, 1.0]]
GENERAL = [[12.0, 0.4, 5.5], [0.3, 11.0, 4.0], [0.01, -0.02, 1.0]]  # a tilted sensor: not upper triangular


def inverse(k: list[list[float]]) -> list[list[float]]:
    """Of a 3 x 3 matrix, by cofactors."""
    minor = [
        [
            k[(i + 1) % 3][(j + 1) % 3] * k[(i + 2) % 3][(j + 2) % 3]
            - k[(i + 1) % 3][(j + 2) % 3] * k[(i + 2) % 3][(j + 1) % 3]
            for j in range(3)
        ]
        for i in range(3)
    ]
    determinant = sum(k[0][j] * minor[0][j] for j in range(3))
    return [[minor[j][i] / determinant for j in range(3)] for i in range(3)]


def loop_clouds(p_map, d_map, v_map, camera, stride):
    predicted, true = [], []
    inverted = inverse(camera.double().tolist())
    for y, x in torch.cartesian_prod(*map(torch.arange, d_map.shape)).tolist():
        p, d = float(p_map[y, x]), float(d_map[y, x])
        if y % stride == 0 and x % stride == 0 and v_map[y, x] and 0.1 < d < 8:
            ray = [row[0] * x + row[1] * y + row[2] for row in inverted]
            predicted.append([min(max(p, 0.1), 8.0) * part / ray[2] for part in ray])
            true.append([d * part / ray[2] for part in ray])
    return predicted, true


def loop_figures(predicted, true, power):
    to_truth = [min(math.dist(p, t) for t in true) for p in predicted]
    to_prediction = [min(math.dist(p, t) for p in predicted) for t in true]
    scores = {}
    for name, threshold in (("5cm", 0.05), ("10cm", 0.10)):
        precision, recall = (sum(d < threshold for d in ds) / len(ds) for ds in (to_truth, to_prediction))
        total = precision + recall
        scores[f"chamfer3d_fscore_{name}"] = 2 * precision * recall / total if total else 0.0
    return {
        "chamfer3d_precision": sum(d**power for d in to_truth) / len(to_truth),
        "chamfer3d_recall": sum(d**power for d in to_prediction) / len(to_prediction),
    } | scores


class TestGeneralCamera(MetricTester):
    averages_images = True
    protocol = PROTOCOL
    camera = GENERAL
    stride = 1
    squared = False

    def make(self):
        return PointCloudChamfer(self.protocol, stride=self.stride, squared=self.squared, workers=1)

    def inputs(self):
        generator = torch.Generator().manual_seed(0)
        target = 1 + torch.rand(7, 1, 9, 11, generator=generator)
        target[2, 0, 2:4] = 9.0  # beyond the range
        prediction = target * (0.1 * torch.randn(target.shape, generator=generator)).exp()
        prediction[1, 0, 0, 0] = -1.0  # clamped
        valid = torch.rand(target.shape, generator=generator) < 0.7
        valid[:, :, 0, 0] = True
        valid[4] = False
        valid[5] = False
        valid[5, 0, 4, 6] = True  # a single point
        cameras = torch.tensor(self.camera).repeat(7, 1, 1)
        cameras[:, 0, 0] += torch.arange(7)  # each image has a camera of its own
        return prediction, target.where(valid, 0.0), valid, cameras

    def reference(self, *inputs):
        clouds = [
            loop_clouds(p[0].double(), d[0].double(), v[0], camera, self.stride)
            for p, d, v, camera in zip(*inputs, strict=True)
        ]
        images = [loop_figures(*pair, power=2 if self.squared else 1) for pair in clouds if pair[0]]
        means = {name: sum(image[name] for image in images) / len(images) for name in images[0]}
        return means | {"excluded": len(clouds) - len(images), "nonfinite": 0}


class TestSquaredAndSubsampled(TestGeneralCamera):
    protocol = TENTHS  # distances stay in metres
    camera = PINHOLE
    stride = 2
    squared = True


def evaluate(prediction, target, intrinsics, **options):
    """Figures of one image without holes."""
    metric = PointCloudChamfer(PROTOCOL, **options)
    metric.update(prediction, target, torch.ones_like(target, dtype=torch.bool), torch.tensor(intrinsics)[None])
    return {name: float(figure) for name, figure in metric.compute().items()}


def test_worked_example():
    # One pixel on the optical axis, 0.07 m too deep.
    figures = evaluate(torch.full((1, 1, 1, 1), 2.07), torch.full((1, 1, 1, 1), 2.0), torch.eye(3).tolist())
    assert figures == pytest.approx(
        {
            **{"chamfer3d_precision": 0.07, "chamfer3d_recall": 0.07},
            **{"chamfer3d_fscore_5cm": 0, "chamfer3d_fscore_10cm": 1, "excluded": 0, "nonfinite": 0},
        },
        rel=1e-5,
    )


def test_precision_and_recall_are_directed():
    # Truth: two points 1 m and 3 m away; the prediction has both at 1 m, so that only the far one is not recalled.
    focal = [[1e6, 0.0, 0.0], [0.0, 1e6, 0.0], [0.0, 0.0, 1.0]]
    figures = evaluate(torch.ones(1, 1, 1, 2), torch.tensor([1.0, 3.0]).view(1, 1, 1, 2), focal)
    assert figures["chamfer3d_precision"] == pytest.approx(0, abs=1e-5)
    assert figures["chamfer3d_recall"] == pytest.approx(1)
    assert figures["chamfer3d_fscore_5cm"] == pytest.approx(2 * 1 * 0.5 / 1.5)


def test_a_perfect_prediction():
    target = 1 + torch.rand(1, 1, 9, 11, generator=torch.Generator().manual_seed(1))
    figures = evaluate(target, target, GENERAL)
    assert (figures["chamfer3d_precision"], figures["chamfer3d_recall"], figures["chamfer3d_fscore_5cm"]) == (0, 0, 1)


def test_depth_is_planar_so_that_a_wall_is_flat():
    # Moving a fronto-parallel wall by 1 cm moves each point no further than its neighbour: all distances are 1 cm,
    # but for the shift along the ray, which is at most 1 cm x the ray's slope.
    wall = torch.full((1, 1, 9, 11), 2.0, dtype=torch.float64)
    figures = evaluate(wall + 0.01, wall, PINHOLE)
    assert 0.01 <= figures["chamfer3d_precision"] <= 0.01 * math.hypot(1, 5.5 / 12, 4 / 11)


def test_names_follow_the_thresholds():
    figures = evaluate(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2), PINHOLE, thresholds=(0.025, 1.0))
    assert [name for name in figures if "fscore" in name] == ["chamfer3d_fscore_2.5cm", "chamfer3d_fscore_100cm"]


def test_unusable_input_is_refused():
    with pytest.raises(ValueError, match=r"stride >= 1.*got 0"):
        PointCloudChamfer(PROTOCOL, stride=0)
    with pytest.raises(ValueError, match="thresholds > 0"):
        PointCloudChamfer(PROTOCOL, thresholds=(0.0,))
    depth = torch.ones(1, 1, 2, 2)
    with pytest.raises(ValueError, match=r"\(1, 3, 3\), got \(1, 2, 2\)"):
        evaluate(depth, depth, torch.eye(2).tolist())
    with pytest.raises(ValueError, match="singular"):
        evaluate(depth, depth, torch.zeros(3, 3).tolist())
    with pytest.raises(ValueError, match="looks backwards"):
        evaluate(depth, depth, (-torch.eye(3)).tolist())


def test_distances_to_the_camera_make_the_clouds_that_depth_along_z_makes():
    generator = torch.Generator().manual_seed(3)
    prediction, target = (1 + 3 * torch.rand(1, 1, 9, 12, generator=generator) for _ in range(2))
    valid, camera = torch.ones_like(target, dtype=torch.bool), torch.tensor([GENERAL])
    rows, columns = torch.meshgrid(torch.arange(9), torch.arange(12), indexing="ij")
    longer = pixel_rays(columns.flatten(), rows.flatten(), camera[0].double()).norm(dim=1).view(9, 12)
    planar, radial = PointCloudChamfer(PROTOCOL), PointCloudChamfer(replace(PROTOCOL, radial=True))
    planar.update(prediction, target, valid, camera)
    radial.update(prediction * longer, target * longer, valid, camera)
    for name, value in planar.compute().items():
        assert float(radial.compute()[name]) == pytest.approx(float(value), rel=1e-9), name
