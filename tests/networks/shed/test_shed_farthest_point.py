from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_modules.networks.shed.farthest_point import farthest_points

GOLDEN = Path(__file__).parents[3] / "../shared/reference/golden/graph_pooling.npz"


def reference_picks(points, k, pad):
    """The published procedure on one image: start at the mean, recompute distances at every pick."""
    own = [i for i in range(len(points)) if not pad[i]]
    closest = {i: ((points[i] - points[own].mean(0)) ** 2).sum() for i in own}
    picks = []
    while closest and len(picks) < k:
        best = max(closest.values())
        picks.append(next(i for i in own if i in closest and closest[i] == best))
        gaps = {i: ((points[i] - points[picks[-1]]) ** 2).sum() for i in closest}
        closest = {i: min(closest[i], gap) for i, gap in gaps.items() if gap > 0}
    return [picks[j % len(picks)] for j in range(k)]


def expect(points, k, pad=None):
    none = torch.zeros(points.shape[:2], dtype=torch.bool)
    pads = (none if pad is None else pad).numpy()
    return torch.tensor([reference_picks(p, k, m) for p, m in zip(points.double().numpy(), pads, strict=True)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, 30.0])
@pytest.mark.parametrize("seed", range(5))
def test_random_tokens(seed, offset, dtype):
    points = torch.randn(3, 60, 16, generator=torch.Generator().manual_seed(seed)) + offset
    assert torch.equal(farthest_points(points, 25, dtype=dtype), expect(points, 25))


def test_float32_distances_pick_as_float64_at_full_size():
    points = torch.randn(4, 576, 384, generator=torch.Generator().manual_seed(0))
    single, double = (farthest_points(points, 256, dtype=dtype) for dtype in (torch.float32, torch.float64))
    assert torch.equal(single, double)


@pytest.mark.golden
@pytest.mark.skipif(not GOLDEN.exists(), reason=f"golden values absent: {GOLDEN}")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_golden_seeds(dtype):
    golden = np.load(GOLDEN)
    for level, points in enumerate((golden["z"], golden["Z1"], golden["Z2"]), start=1):
        seeds = golden[f"seeds{level}"]
        assert farthest_points(torch.from_numpy(points)[None], len(seeds), dtype=dtype)[0].tolist() == seeds.tolist()


def test_ties_go_to_the_first_index():
    lattice = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0])] * 2)[None]  # its mean is a point of it
    seeds = farthest_points(lattice, 9)
    assert seeds[0, 0] == 0
    assert torch.equal(seeds, expect(lattice, 9))


def test_pads_neither_count_nor_get_picked():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(4, 30, 8, generator=generator)
    pad = torch.rand(4, 30, generator=generator) < torch.tensor([0.0, 0.2, 0.4, 0.5])[:, None]
    points[pad] = 100.0
    seeds = farthest_points(points, 12, pad)
    assert torch.equal(seeds, expect(points, 12, pad))
    assert not pad.gather(1, seeds).any()


def test_every_point_once_when_as_many_picks_as_points():
    points = torch.randn(2, 20, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(farthest_points(points, 20).sort(1).values, torch.arange(20).expand(2, 20))


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_repeated_points_count_as_one(noise):
    generator = torch.Generator().manual_seed(0)
    distinct = torch.randn(6, 16, generator=generator, dtype=torch.float64)
    points = distinct.repeat(4, 1)[None] + noise * torch.randn(1, 24, 16, generator=generator)
    seeds = farthest_points(points, 15)[0] % 6
    assert seeds.tolist() == expect(distinct[None], 15)[0].tolist()


def test_identical_points():
    assert farthest_points(torch.ones(2, 10, 4), 7).tolist() == [[0] * 7] * 2


def test_picks_start_over_when_there_are_too_few_tokens():
    points = torch.randn(1, 10, 4, generator=torch.Generator().manual_seed(0))
    pad = torch.ones(1, 10, dtype=torch.bool)
    pad[0, [2, 5, 7]] = False
    seeds = farthest_points(points, 8, pad)
    assert torch.equal(seeds, expect(points, 8, pad))
    assert seeds[0, :3].sort().values.tolist() == [2, 5, 7]
    assert torch.equal(seeds[0, 3:6], seeds[0, :3])


def test_autocast_does_not_touch_distances():
    points = torch.randn(2, 100, 32, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seeds = farthest_points(points, 50, dtype=torch.float32)
    assert torch.equal(seeds, farthest_points(points, 50))


def test_more_picks_than_points_is_refused():
    with pytest.raises(ValueError, match=r"20 segments cannot be seeded from 10 tokens.*`segments`"):
        farthest_points(torch.zeros(1, 10, 4), 20)
