import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lightning_modules.networks.shed.cells import assign_cells, segment_mean, spread

BATCH, DIM, N = 3, 5, 7
SIZES = [((24, 32), (3, 4)), ((24, 32), (24, 32)), ((21, 34), (3, 5))]  # the last grid does not divide the image


def random_superpixels(size, n=N, batch=BATCH, seed=0):
    return torch.randint(n, (batch, *size), generator=torch.Generator().manual_seed(seed))


def dense_s0(superpixels, grid, n, rule):
    """S_0 by the definition, one pixel at a time."""
    batch, height, width = superpixels.shape
    s0 = np.zeros((batch, grid[0] * grid[1], n))
    for b in range(batch):
        if rule == "nearest":
            for i in range(grid[0]):
                for j in range(grid[1]):
                    label = superpixels[b, int(i * height / grid[0]), int(j * width / grid[1])]
                    s0[b, i * grid[1] + j, label] = 1
        else:
            for y in range(height):
                for x in range(width):
                    s0[b, y * grid[0] // height * grid[1] + x * grid[1] // width, superpixels[b, y, x]] += 1
    return torch.from_numpy(s0 / s0.sum(2, keepdims=True))


@pytest.mark.parametrize(("size", "grid"), SIZES)
def test_nearest_rule_is_that_of_interpolate(size, grid):
    superpixels = random_superpixels(size)
    expected = F.interpolate(superpixels[:, None].double(), grid, mode="nearest").long().flatten(1)
    assert torch.equal(assign_cells(superpixels, grid, N), expected)


@pytest.mark.parametrize("rule", ["nearest", "area"])
@pytest.mark.parametrize(("size", "grid"), SIZES)
def test_mean_and_spread_are_products_with_dense_s0(size, grid, rule):
    superpixels = random_superpixels(size) % torch.tensor([N, N - 2, 1])[:, None, None]  # empty ids; one superpixel
    features = torch.randn(BATCH, DIM, *grid, dtype=torch.float64)
    s0 = dense_s0(superpixels, grid, N, rule)
    cells = assign_cells(superpixels, grid, N, rule)

    tokens, pad = segment_mean(features, cells, N)
    mass = s0.sum(1)
    expected = s0.mT @ features.flatten(2).mT / mass.where(mass > 0, 1)[..., None]
    torch.testing.assert_close(tokens, expected, rtol=0, atol=1e-6 if rule == "area" else 1e-12)
    assert torch.equal(pad, mass == 0)
    assert pad[1].sum() >= 2
    assert pad[2].sum() == N - 1

    values = torch.randn(BATCH, N, DIM, dtype=torch.float64)
    maps = (s0 @ values).mT.unflatten(2, grid)
    torch.testing.assert_close(spread(values, cells, grid), maps, rtol=0, atol=1e-6 if rule == "area" else 0)


def test_area_tokens_are_pixel_means_and_rows_sum_to_one():
    superpixels, grid = random_superpixels((24, 32)), (3, 4)
    cells = assign_cells(superpixels, grid, N, "area")
    torch.testing.assert_close(cells.sum(2), torch.ones(BATCH, 12), rtol=0, atol=1e-6)
    features = torch.randn(BATCH, DIM, *grid, dtype=torch.float64)
    upsampled = features.repeat_interleave(8, 2).repeat_interleave(8, 3)
    expected = torch.stack(
        [
            torch.stack([pixels[:, labels == n].mean(1) for n in range(N)])
            for pixels, labels in zip(upsampled, superpixels, strict=True)
        ]
    )
    torch.testing.assert_close(segment_mean(features, cells, N)[0], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rule", ["nearest", "area"])
def test_gradients_are_those_of_the_dense_products(rule):
    superpixels, grid = random_superpixels((8, 8), n=4, batch=2), (4, 4)
    cells = assign_cells(superpixels, grid, 4, rule)
    features = torch.randn(2, 2, *grid, dtype=torch.float64, requires_grad=True)
    tokens = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: segment_mean(f, cells, 4)[0], features)
    assert torch.autograd.gradcheck(lambda t: spread(t, cells, grid), tokens)


@pytest.mark.parametrize("rule", ["nearest", "area"])
def test_mean_is_accumulated_in_float32_under_autocast(rule):
    superpixels, grid = torch.zeros(1, 64, 64, dtype=torch.int64), (64, 64)
    features = 1 + torch.rand(1, 3, *grid)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tokens, _ = segment_mean(features.bfloat16(), assign_cells(superpixels, grid, 2, rule), 2)
    expected = features.bfloat16().double().mean((2, 3))
    torch.testing.assert_close(tokens[:, 0].double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("wrong", [-1, N])
def test_ids_out_of_range_are_refused(wrong):
    superpixels = random_superpixels((8, 8))
    superpixels[1, 2, 3] = wrong
    with pytest.raises(ValueError, match=rf"ids .*allows 0\.\.{N - 1}.*superpixel_size"):
        assign_cells(superpixels, (2, 2), N)
