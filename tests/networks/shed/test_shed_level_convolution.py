"""A level's convolution from tokens against the dense one, which is torch's own."""

import pytest
import torch

from lightning_modules.networks.shed import level_convolution
from lightning_modules.networks.shed.cells import assign_cells
from lightning_modules.networks.shed.level_convolution import convolve_levels, convolve_map, convolve_tokens

GRIDS = [(48, 48), (7, 11), (1, 5), (2, 2), (1, 1), (3, 1)]


def make_level(grid=(7, 11), batch=2, count=20, dim=6, width=5, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(batch, count, dim, dtype=torch.float64, generator=generator).to(dtype)
    cells = torch.randint(count, (batch, grid[0] * grid[1]), generator=generator)
    weight = torch.randn(width, dim, 3, 3, dtype=torch.float64, generator=generator).to(dtype)
    return tokens, cells, grid, weight


def with_gradients(convolve, tokens, cells, grid, weight):
    """The map, and the gradients of tokens and weight under a random cotangent."""
    tokens, weight = tokens.clone().requires_grad_(), weight.clone().requires_grad_()
    output = convolve(tokens, cells, grid, weight)
    cotangent = torch.randn(output.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    output.backward(cotangent.to(output.dtype))
    return output.detach(), tokens.grad, weight.grad


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_is_the_dense_convolution_borders_and_gradients_included(grid, batch):
    level = make_level(grid, batch)
    for actual, expected in zip(
        with_gradients(convolve_tokens, *level), with_gradients(convolve_map, *level), strict=True
    ):
        assert actual.shape == expected.shape
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_by_hand():
    """Two cells of two superpixels: each sees itself by the centre tap and the other by the tap at its side."""
    tokens = torch.tensor([[[1.0], [10.0]]])
    weight = torch.arange(9.0).view(1, 1, 3, 3)
    output = convolve_tokens(tokens, torch.tensor([[0, 1]]), (1, 2), weight)
    assert output.tolist() == [[[[4 * 1 + 5 * 10, 3 * 1 + 4 * 10]]]]


def test_real_superpixels_of_any_size():
    superpixels = torch.arange(37)[:, None] // 6 * 5 + torch.arange(53) // 12
    cells = assign_cells(superpixels[None], (10, 14), 35)
    tokens, _, _, weight = make_level(batch=1, count=35)
    expected = convolve_map(tokens, cells, (10, 14), weight)
    torch.testing.assert_close(convolve_tokens(tokens, cells, (10, 14), weight), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 4e-2), (torch.float16, 4e-3)])
def test_precisions(dtype, tolerance):
    """Relative to the largest value; in half precision both ways round, the dense one against float64 likewise."""
    level = make_level((48, 48), 2, 576, 384, 32, dtype)
    exact = with_gradients(convolve_map, level[0].double(), *level[1:3], level[3].double())
    for actual, expected in zip(with_gradients(convolve_tokens, *level), exact, strict=True):
        assert actual.dtype == dtype
        assert (actual.double() - expected).abs().max() <= tolerance * expected.abs().max()


def test_autocast_multiplies_in_half_precision():
    tokens, cells, grid, weight = make_level(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual, expected = (way(tokens, cells, grid, weight) for way in (convolve_tokens, convolve_map))
    assert actual.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(actual, expected, rtol=0.05, atol=0.05)


def test_gradients_against_finite_differences():
    tokens, cells, grid, weight = make_level((3, 4), 1, 5, 2, 2)
    tokens, weight = tokens.requires_grad_(), weight.requires_grad_()
    assert torch.autograd.gradcheck(lambda t, w: convolve_tokens(t, cells, grid, w), (tokens, weight))


@pytest.mark.parametrize(
    ("cells_per_token", "count", "expected"),
    [({"cpu": 2.0}, 38, "tokens"), ({"cpu": 2.0}, 39, "map"), ({}, 5, "map")],
)
def test_the_cheaper_way_is_taken(monkeypatch, cells_per_token, count, expected):
    monkeypatch.setattr(level_convolution, "CELLS_PER_TOKEN", cells_per_token)
    taken = []
    for way in ("tokens", "map"):
        monkeypatch.setattr(level_convolution, f"convolve_{way}", lambda *_, way=way: taken.append(way))
    convolve_levels(*make_level(count=count))  # 77 cells
    assert taken == [expected]


def test_shares_of_cells_are_convolved_densely():
    tokens, _, grid, weight = make_level()
    shares = torch.rand(2, 77, 20, dtype=torch.float64).softmax(2)
    expected = convolve_map(tokens, shares, grid, weight)
    assert torch.equal(convolve_levels(tokens, shares, grid, weight), expected)
