"""Boundary errors against the golden file, scikit-image's Canny and brute-force distances."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.feature import canny

from lightning_modules.metrics.boundary import (
    DISTANCES,
    KEYS,
    BoundaryError,
    BoundaryProtocol,
    boundary_curves,
    depth_edges,
    empty_remark,
    per_image_boundary_errors,
)
from tests.helpers.metric_tester import MetricTester

GOLDEN = Path(__file__).parents[2] / "../shared/reference/golden/boundary.npz"


def nearest(pixels: list[tuple[int, int]], goals: list[tuple[int, int]]) -> list[float]:
    return [min(math.dist(pixel, goal) for goal in goals) for pixel in pixels]


def brute_force_figures(edges: np.ndarray, truth: np.ndarray, protocol: BoundaryProtocol) -> dict[str, float]:
    """The definitions of the protocol page, pixel by pixel."""
    t = protocol.max_distance
    e, y = ([(int(r), int(c)) for r, c in np.argwhere(pixels)] for pixels in (edges, truth))
    if not e:
        diagonal = math.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2)
        return dict(zip(KEYS, (t, t, diagonal, diagonal, 0, 0, 0), strict=True))
    to_truth, to_edges = nearest(e, y), nearest(y, e)
    near = [distance for distance in to_truth if distance < t]
    missed = sum(min(distance, t) for distance in to_edges)
    if protocol.completeness == "directed":
        completeness = missed / len(y)
    else:
        completeness = (missed + sum(min(distance, t) for distance in to_truth)) / (len(e) + len(y))
    precision = sum(distance <= protocol.tolerance for distance in to_truth) / len(e)
    recall = sum(distance <= protocol.tolerance for distance in to_edges) / len(y)
    return {
        "boundary_acc": sum(near) / len(near) if near else t,
        "boundary_comp": completeness if near else t,
        "chamfer_pred_to_gt": sum(to_truth) / len(e),
        "chamfer_gt_to_pred": sum(to_edges) / len(y),
        "boundary_precision": precision,
        "boundary_recall": recall,
        "boundary_f1": 2 / (1 / precision + 1 / recall) if precision and recall else 0,
    }


class TestOfficial(MetricTester):
    averages_images = True
    counts = ("boundary_empty", "boundary_images", "excluded", "nonfinite")
    protocol = BoundaryProtocol(max_distance=6)

    def make(self):
        return BoundaryError(self.protocol)

    def inputs(self):
        generator = torch.Generator().manual_seed(0)
        corner = torch.randint(6, 18, (7, 2), generator=generator).tolist()
        prediction = 2 + 0.1 * torch.rand(7, 1, 30, 36, generator=generator)
        for depth, (row, column) in zip(prediction, corner, strict=True):
            depth[:, row:, column:] += 2
        prediction[3] = 2.5  # no edge
        target = torch.rand(prediction.shape, generator=generator) < 0.02
        target[2] = False
        valid = torch.ones_like(target)
        valid[1, :, :, 25:] = False
        return prediction, target, valid

    def reference(self, prediction, target, valid):
        images, full = [], []
        for depth, truth, mask in zip(prediction[:, 0].double().numpy(), target[:, 0], valid[:, 0], strict=True):
            inside, truth = mask.numpy(), (truth & mask).numpy()
            low, high = depth[inside].min(), depth[inside].max()
            normalised = (depth - low) / (high - low) if high > low else np.zeros_like(depth)
            edges = canny(normalised, math.sqrt(2), 0.15, 0.30, mask=inside)
            if truth.any():
                images.append(brute_force_figures(edges, truth, self.protocol))
                full += images[-1:] if edges.any() else []
        empty = len(images) - len(full)
        counts = {
            "boundary_empty": empty,
            "boundary_images": len(images),
            "excluded": len(target) - len(images),
            "nonfinite": 0,
        }
        nonempty = {f"{name}_nonempty": sum(image[name] for image in full) / len(full) for name in DISTANCES}
        return {name: sum(image[name] for image in images) / len(images) for name in KEYS} | nonempty | counts

    def test_the_inputs_have_one_frame_without_an_edge(self):
        assert self.reference(*self.inputs())["boundary_empty"] == 1


class TestDirected(TestOfficial):
    protocol = BoundaryProtocol(max_distance=6, completeness="directed", tolerance=2.5)


def step(column: int, size: tuple[int, int] = (40, 50)) -> torch.Tensor:
    """(1, 1, H, W) depth that steps from 1 m to 3 m before the given column."""
    depth = torch.ones(1, 1, *size)
    depth[..., column:] = 3
    return depth


def line(column: int, size: tuple[int, int] = (40, 50)) -> torch.Tensor:
    """(1, 1, H, W) boundary along one column, clear of the frame's border, where Canny finds no edge."""
    boundary = torch.zeros(1, 1, *size, dtype=torch.bool)
    boundary[..., 1:-1, column] = True
    return boundary


def evaluate(prediction, target, valid=None, **options):
    metric = BoundaryError(BoundaryProtocol(**options))
    metric.update(prediction, target, valid)
    return {name: float(figure) for name, figure in metric.compute().items()}


@pytest.mark.golden
def test_golden_values_of_the_official_definition():
    if not GOLDEN.exists():
        pytest.skip(f"no golden values at {GOLDEN}")
    with np.load(GOLDEN) as golden:
        prediction, edges = (torch.from_numpy(golden[name])[:, None] for name in ("prediction", "edges"))
        expected = torch.from_numpy(golden["acc_comp"])
    protocol = BoundaryProtocol()
    figures = per_image_boundary_errors(*protocol.prepare(prediction, edges, None), protocol)
    actual = torch.stack([figures["boundary_acc"], figures["boundary_comp"]], dim=1)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("backend", ["skimage", "cv2"])
def test_worked_example_of_a_displaced_straight_edge(backend):
    # The step lies between columns 19 and 20: Canny marks one or both; the truth is 5 columns from column 20.
    figures = evaluate(step(20), line(25), backend=backend, tolerance=6)
    assert 5 <= figures["boundary_acc"] <= 6
    assert figures["chamfer_pred_to_gt"] == figures["boundary_acc"]
    assert (figures["boundary_precision"], figures["boundary_recall"], figures["boundary_f1"]) == (1, 1, 1)
    assert evaluate(step(20), line(25), backend=backend, tolerance=4)["boundary_f1"] == 0


def test_edges_far_from_the_truth_leave_the_official_accuracy_but_not_the_chamfer_distance():
    depth = step(10).maximum(2 * step(40) - 1)  # 1, 3, 5 m
    figures = evaluate(depth, line(9) | line(10))
    assert figures["boundary_acc"] < 1
    assert figures["chamfer_pred_to_gt"] > 10
    assert figures["chamfer_gt_to_pred"] < 1


def test_with_no_edge_near_the_truth_accuracy_and_completeness_are_the_maximal_distance():
    for completeness in ("official", "directed"):
        figures = evaluate(step(20), line(40), completeness=completeness, max_distance=10)
        assert (figures["boundary_acc"], figures["boundary_comp"]) == (10, 10)
        assert 20 <= figures["chamfer_pred_to_gt"] <= 21


@pytest.mark.parametrize("backend", ["skimage", "cv2"])
@pytest.mark.parametrize("depth", [0.0, 2.5])
def test_a_constant_or_absent_prediction_has_no_edge(depth, backend):
    figures = evaluate(torch.full((1, 1, 40, 50), depth), line(20), backend=backend)
    diagonal = math.hypot(40, 50)
    assert (figures.pop("boundary_empty"), figures.pop("boundary_images")) == (1, 1)
    assert all(math.isnan(figures.pop(f"{name}_nonempty")) for name in DISTANCES)
    assert tuple(figures.values()) == (10, 10, diagonal, diagonal, 0, 0, 0, 0, 0)


def test_one_flat_prediction_of_ten_decides_the_untruncated_mean_but_not_that_of_the_others():
    depth, target = step(20).repeat(10, 1, 1, 1), line(22).repeat(10, 1, 1, 1)
    alone = evaluate(depth[:1], target[:1])
    depth[4] = 2.0
    figures = evaluate(depth, target)
    diagonal = math.hypot(40, 50)
    assert figures["boundary_empty"] == 1
    for name in ("chamfer_pred_to_gt", "chamfer_gt_to_pred"):
        assert figures[name] == pytest.approx(0.9 * alone[name] + 0.1 * diagonal)
        assert figures[f"{name}_nonempty"] == pytest.approx(alone[name])
    assert figures["boundary_acc_nonempty"] == pytest.approx(alone["boundary_acc"])
    distances = ", ".join(f"{name} {alone[name]:.2f}" for name in ("chamfer_pred_to_gt", "chamfer_gt_to_pred"))
    assert empty_remark(figures) == (
        f"no edge found in 1 of 10 frames (10%), which decide the untruncated distances; without them, px: {distances}"
    )
    assert empty_remark(alone) == empty_remark(figures | {"boundary_images": 20}) == empty_remark({}) == ""


def test_a_nonfinite_prediction_spoils_the_mean_of_the_others_too():
    depth = torch.cat([step(20), step(20)])
    depth[1, 0, 3, 3] = torch.inf
    figures = evaluate(depth, torch.cat([line(22), line(22)]))
    assert math.isnan(figures["boundary_acc_nonempty"])
    assert figures["boundary_empty"] == 0


def test_an_image_without_truth_is_excluded():
    once = evaluate(step(20), line(22))
    twice = evaluate(torch.cat([step(20), step(5)]), torch.cat([line(22), torch.zeros_like(line(22))]))
    assert twice == once | {"excluded": 1.0}


def test_a_nonfinite_prediction_without_truth_is_not_excluded_in_silence():
    figures = evaluate(step(20).where(~line(7), torch.nan), torch.zeros_like(line(0)))
    assert (figures["nonfinite"], figures["excluded"]) == (38, 0)
    assert math.isnan(figures["boundary_acc"])


def test_only_empty_truths_give_no_figure():
    figures = evaluate(step(20), torch.zeros_like(line(0)))
    assert figures.pop("excluded") == 1
    assert figures.pop("nonfinite") == 0
    assert (figures.pop("boundary_empty"), figures.pop("boundary_images")) == (0, 0)
    assert all(math.isnan(figure) for figure in figures.values())


def test_zero_depth_is_unknown_not_near():
    # Without the rule, the zeros would set the minimum, and their rim would be an edge.
    depth = 100 + step(20)
    holed = depth.clone()
    holed[..., 25:30, 35:40] = 0
    assert evaluate(holed, line(22)) == evaluate(depth, line(22))


def test_edges_beside_zero_depth_are_those_of_the_official_code():
    holed = step(20)
    holed[..., 15:25, 18:24] = 0
    official = holed[0, 0].double().numpy()
    official[official == 0] = np.nan
    official -= np.nanmin(official)
    edges = canny(official / np.nanmax(official), math.sqrt(2), 0.15, 0.30)
    actual = depth_edges(holed[0, 0].double().numpy(), np.ones((40, 50), dtype=bool), BoundaryProtocol())
    assert edges.any()
    assert (actual == edges).all()


@pytest.mark.parametrize("backend", ["skimage", "cv2"])
def test_what_is_not_evaluated_makes_no_edge(backend):
    depth, valid = step(20), torch.ones_like(line(0))
    valid[..., 36:] = False
    spoilt = depth.where(valid, 1000.0)
    assert evaluate(spoilt, line(22), valid, backend=backend) == evaluate(depth, line(22), backend=backend)
    assert evaluate(depth, line(40), valid, backend=backend)["excluded"] == 1


def test_scale_and_shift_of_the_depth_do_not_matter():
    prediction, target, _ = TestOfficial().inputs()
    assert evaluate(prediction.double(), target) == pytest.approx(evaluate(1 + 4 * prediction.double(), target))


def test_backends_agree_on_clear_edges():
    prediction, target, _ = TestOfficial().inputs()
    skimage, opencv = (evaluate(prediction[:2], target[:2], backend=backend) for backend in ("skimage", "cv2"))
    assert opencv["chamfer_gt_to_pred"] == pytest.approx(skimage["chamfer_gt_to_pred"], abs=1)
    assert opencv["chamfer_pred_to_gt"] == pytest.approx(skimage["chamfer_pred_to_gt"], abs=1)


def test_the_crop_is_cut_before_the_edges_are_sought():
    size = (480, 640)
    outside = step(300, size)
    outside[..., :20, :] = 1000.0  # flattens the rest of an uncropped frame
    cropped = evaluate(outside, line(302, size), crop="p2orm")
    window = (..., slice(21, 461), slice(25, 617))
    assert cropped == evaluate(step(300, size)[window], line(302, size)[window])
    assert evaluate(outside, line(302, size))["boundary_acc"] != cropped["boundary_acc"]


def test_a_prediction_of_another_size_is_resized_to_the_truth():
    ends = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    resized, *_ = BoundaryProtocol().prepare(ends, torch.zeros(1, 1, 1, 4, dtype=torch.bool), None)
    assert resized.flatten().tolist() == [0, 0.25, 0.75, 1]  # pixel centres, not corners, are aligned
    figures = evaluate(step(10, (20, 25)), line(19) | line(20))
    assert figures["boundary_acc"] < 1
    assert figures["boundary_f1"] == 1


def test_ragged_sizes_one_by_one():
    metric = BoundaryError()
    expected = []
    for height, width in ((30, 44), (51, 37)):
        pair = step(15, (height, width)), line(18, (height, width))
        metric.update(*pair)
        expected.append(evaluate(*pair)["chamfer_gt_to_pred"])
    assert float(metric.compute()["chamfer_gt_to_pred"]) == pytest.approx(sum(expected) / 2)


def test_per_image_figures_are_those_the_metric_averages():
    prediction, target, valid = TestOfficial().inputs()
    prediction[5, 0, 3, 3] = torch.inf
    protocol = TestOfficial.protocol
    figures = per_image_boundary_errors(*protocol.prepare(prediction, target, valid), protocol)
    for figure in figures.values():
        assert figure.isnan().nonzero().flatten().tolist() == [2, 5]
    rest = [0, 1, 3, 4, 6]
    averages = evaluate(prediction[rest], target[rest], valid[rest], max_distance=6)
    assert {name: float(figure.nanmean()) for name, figure in figures.items()} == pytest.approx(
        {name: averages[name] for name in KEYS}
    )


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"low": 0.4}, "low <= high"),
        ({"sigma": 0.0}, "sigma"),
        ({"tolerance": -1.0}, "tolerance"),
        ({"completeness": "both"}, "completeness"),
        ({"crop": "centre"}, "crop"),
        ({"backend": "matlab"}, "backend"),
    ],
)
def test_bad_protocols_are_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        BoundaryProtocol(**options)


def test_bad_maps_are_refused():
    with pytest.raises(ValueError, match="must be bool"):
        evaluate(step(20), 255 * line(20).to(torch.uint8))
    with pytest.raises(ValueError, match=r"\(B, 1, h, w\)"):
        evaluate(step(20)[0], line(20))
    with pytest.raises(ValueError, match="480x640"):
        evaluate(step(20), line(20), crop="eigen")


def test_distances_do_not_depend_on_the_direction_of_the_offset():
    # A single truth pixel seen from single-column edges: exact Euclidean distances, no chamfer mask of OpenCV.
    for row, column in itertools.product((3, 20, 36), (3, 45)):
        target = torch.zeros(1, 1, 40, 50, dtype=torch.bool)
        target[0, 0, row, column] = True
        edges = canny(((step(20) - 1) / 2)[0, 0].double().numpy(), math.sqrt(2), 0.15, 0.30)
        expected = brute_force_figures(edges, target[0, 0].numpy(), BoundaryProtocol())
        actual = evaluate(step(20), target)
        assert {name: actual[name] for name in KEYS} == pytest.approx(expected, rel=1e-12)


def test_a_curve_has_the_figures_of_every_threshold():
    prediction, target, valid = TestOfficial().inputs()
    prediction[4, 0, 3, 3] = torch.nan
    protocol = BoundaryProtocol(low=0.1, high=0.4)
    prepared = protocol.prepare(prediction, target, valid)
    thresholds = [0.01, 0.4, 6.0]
    curves = boundary_curves(*prepared, protocol, thresholds)
    found = set()
    for high, figures in zip(thresholds, curves, strict=True):
        expected = per_image_boundary_errors(*prepared, BoundaryProtocol(low=high / 4, high=high))
        for name in KEYS:
            torch.testing.assert_close(figures[name], expected[name], rtol=0, atol=0, equal_nan=True)
        found.add(float(figures["chamfer_pred_to_gt"].nansum()))
    assert len(found) == 3
