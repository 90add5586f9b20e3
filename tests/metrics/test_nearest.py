"""Nearest-neighbour distances, on the CPU and as a GPU finds them, against SciPy's tree and all pairs of points."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from lightning_modules.metrics import nearest_tiles
from lightning_modules.metrics.nearest_points import nearest_distances
from lightning_modules.metrics.nearest_tiles import compact_order, distances_by_groups
from lightning_modules.metrics.point_cloud import PointCloudChamfer, distances_in_groups, pixel_rays
from lightning_modules.metrics.protocol import EvalProtocol

HEIGHT, WIDTH = 72, 96


def depths():
    """A room's corner with a box in front of it, and predictions of it from good to hopeless."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] / WIDTH
    truth = np.minimum(2.5 + columns, 3.4 - 0.8 * rows)
    truth[30:60, 20:50] = 1.2
    generator = np.random.default_rng(0)
    wavy = 1 + 0.1 * np.sin(7 * rows) * np.cos(5 * columns)
    return truth, {
        "itself": truth.copy(),
        "noisy": truth * (1 + 0.05 * generator.standard_normal(truth.shape)),
        "wavy": truth * wavy,
        "plane": np.full_like(truth, 2.0),
        "half": truth / 2,
        "farther": 1.3 * truth,
    }


TRUTH, PREDICTIONS = depths()


def cloud(depth):
    rows, columns = (grid.flatten() for grid in torch.meshgrid(*map(torch.arange, depth.shape), indexing="ij"))
    camera = torch.tensor([[80.0, 0, 47.5], [0, 80.0, 35.5], [0, 0, 1]], dtype=torch.float64)
    return rows, columns, torch.from_numpy(depth.flatten())[:, None] * pixel_rays(columns, rows, camera)


@pytest.mark.parametrize("name", PREDICTIONS)
def test_clouds_of_depth_maps_have_the_distances_that_scipy_finds(name):
    (*pixels, predicted), (*_, true) = cloud(PREDICTIONS[name]), cloud(TRUTH)
    expected = cKDTree(true).query(predicted)[0], cKDTree(predicted).query(true)[0]
    for found, wanted in zip(nearest_distances(predicted.numpy(), true.numpy(), workers=2), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    for found, wanted in zip(distances_in_groups(*pixels, predicted, true), expected, strict=True):
        np.testing.assert_allclose(found.sort().values, np.sort(wanted), rtol=0, atol=1e-12)


@pytest.mark.parametrize("sizes", [(1, 1), (1, 40), (15, 16), (17, 1), (64, 65), (300, 1000)])
@pytest.mark.parametrize("spread", [1.0, 0.0])
def test_clouds_of_any_size_have_the_distances_of_all_pairs(sizes, spread):
    generator = np.random.default_rng(sum(sizes))
    points, others = (5 + spread * generator.normal(size=(size, 3)) for size in sizes)
    points[-1] = others[0]  # one is met exactly
    pairs = cdist(points, others)
    for found, axis in zip(nearest_distances(points, others, workers=1), (1, 0), strict=True):
        np.testing.assert_allclose(found, pairs.min(axis), rtol=0, atol=1e-12)
    found = distances_by_groups(torch.from_numpy(points), torch.from_numpy(others))
    np.testing.assert_allclose(found, pairs.min(1), rtol=0, atol=1e-12)


def test_threads_do_not_change_a_distance():
    predicted, true = (cloud(depth)[2].numpy() for depth in (PREDICTIONS["wavy"], TRUTH))
    for one, many in zip(nearest_distances(predicted, true, 1), nearest_distances(predicted, true, 3), strict=True):
        np.testing.assert_array_equal(one, many)


def test_groups_that_do_not_fit_into_memory_are_compared_in_turn(monkeypatch):
    (*_, predicted), (*_, true) = cloud(PREDICTIONS["wavy"]), cloud(TRUTH)
    whole = distances_by_groups(predicted, true)
    monkeypatch.setattr(nearest_tiles, "PAIRS", 5 * nearest_tiles.SIZE**2)
    np.testing.assert_allclose(distances_by_groups(predicted, true), whole, rtol=0, atol=1e-15)


def test_the_order_keeps_what_is_near_in_space_together():
    rows, columns, points = cloud(TRUTH)
    order = compact_order(rows, columns, points[:, 2])
    assert order.sort().values.equal(torch.arange(len(points)))
    groups = points[order].view(-1, nearest_tiles.SIZE, 3)
    sides = groups.amax(1) - groups.amin(1)
    assert sides.amax(1).quantile(0.9) < 0.7  # metres, of a room of 2 by 2 by 3


def test_the_metric_of_a_gpu_is_that_of_the_cpu(monkeypatch):
    """The same code runs here, for want of a GPU, where the metric takes the CPU's way."""
    protocol = EvalProtocol("test", min_depth=0.1, max_depth=8.0)
    camera = torch.tensor([[[80.0, 0, 47.5], [0, 80.0, 35.5], [0, 0, 1]]])
    truth = torch.from_numpy(TRUTH)[None, None].float()
    valid = torch.rand(truth.shape, generator=torch.Generator().manual_seed(0)) < 0.8
    by_tree, by_groups = PointCloudChamfer(protocol, stride=2), PointCloudChamfer(protocol, stride=2)
    monkeypatch.setattr(by_groups, "_distances", distances_in_groups)
    for metric in (by_tree, by_groups):
        for prediction in PREDICTIONS.values():
            metric.update(torch.from_numpy(prediction)[None, None].float(), truth, valid, camera)
    for key, value in by_tree.compute().items():
        assert float(by_groups.compute()[key]) == pytest.approx(float(value), abs=1e-12), key
