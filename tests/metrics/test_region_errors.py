"""Region errors against a loop over regions in NumPy."""

import numpy as np
import pytest
import torch

from lightning_modules.metrics import EvalProtocol, RegionErrors
from tests.helpers.metric_tester import MetricTester

PROTOCOL = EvalProtocol("test", min_depth=0.125, max_depth=8.0)


def loop(predicted, true, valid, regions):
    predicted, inside = np.clip(predicted, 0.125, 8.0), valid & (true > 0.125) & (true < 8.0)
    rows = []
    for region in np.unique(regions[(regions > 0) & inside]):
        p, d = (map_[(regions == region) & inside] for map_ in (predicted, true))
        rmse, support_rmse = np.sqrt(np.mean((p - d) ** 2)), np.sqrt(np.mean((p - d.mean()) ** 2))
        rows.append([rmse, (p - d).var(), support_rmse, p.var(), d.var()])
    share = (inside & (regions > 0)).sum() / inside.sum()
    return [*np.mean(rows, axis=0), share] if rows else [np.nan] * 6


class TestRegionErrors(MetricTester):
    averages_images = True

    def make(self):
        return RegionErrors(PROTOCOL)

    def inputs(self):
        generator = torch.Generator().manual_seed(0)
        target = 9 * torch.rand(7, 1, 9, 11, generator=generator)
        prediction = target + 0.3 * torch.randn(target.shape, generator=generator)
        valid = torch.rand(target.shape, generator=generator) > 0.2
        regions = torch.randint(0, 5, (7, 9, 11), generator=generator) * 700_001
        regions[:, 0] += 1  # of the first pixels none is in no region
        regions[3] = 0
        return prediction, target, valid, regions

    def reference(self, prediction, target, valid, regions):
        prediction = prediction.double()
        maps = [map_.squeeze(1).numpy() for map_ in (prediction, target.double(), valid, regions)]
        images = np.array([loop(*image) for image in zip(*maps, strict=True)])
        seen = ~np.isnan(images[:, 0])
        figures = dict(zip(RegionErrors.info, images[seen].mean(axis=0), strict=True))
        return figures | {"excluded": int((~seen).sum()), "nonfinite": 0}


def test_true_support_has_no_variance():
    depth, regions = torch.rand(1, 1, 6, 8) + 1, torch.arange(48).view(1, 6, 8) // 12 + 1
    support = torch.stack([depth.flatten()[regions.flatten() == r].mean() for r in range(1, 5)])[regions - 1][:, None]
    metric = RegionErrors(PROTOCOL)
    metric.update(support, depth, depth > 0, regions)
    figures = metric.compute()
    assert figures["region_variance"] == pytest.approx(0, abs=1e-12)
    assert figures["region_support_rmse"] == pytest.approx(0, abs=1e-6)
    assert figures["region_share"] == 1


def test_regions_of_another_size():
    depth = torch.ones(1, 1, 4, 4)
    with pytest.raises(
        ValueError, match=r"regions must be integers of shape \(B, H, W\) = \(1, 4, 4\), got torch.int64 \(1, 2, 2\)"
    ):
        RegionErrors(PROTOCOL).update(depth, depth, depth > 0, torch.ones(1, 2, 2, dtype=torch.int64))
