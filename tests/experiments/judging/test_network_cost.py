"""Costs of networks, against operations and parameters counted by hand."""

import pytest
import torch
from torch import nn

from experiments.judging.claim import COSTS
from experiments.judging.network_cost import cost_of, gflops, gflops_inside, grid_superpixels, published_network


def test_operations_are_two_a_multiply_add():
    layer = nn.Conv2d(3, 5, 3, padding=1, bias=False)
    assert gflops(lambda: layer(torch.zeros(1, 3, 8, 8))) == pytest.approx(2 * 3 * 5 * 9 * 64 / 1e9)


def test_modules_of_a_kind_are_counted_on_their_own_inputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Conv1d(4, 1, 1)

        def forward(self, batch):
            return self.second(self.first(batch["x"]).mT)

    batch = {"x": torch.zeros(1, 6, 4)}
    assert gflops_inside(Two(), nn.Linear, batch) == pytest.approx(2 * 6 * 4 * 4 / 1e9)


def test_superpixels_of_a_grid():
    cells = grid_superpixels(36, 50, 16)
    assert cells.shape == (1, 36, 50)
    assert cells.unique().tolist() == list(range(2 * 3))
    assert cells[0, 35, 49] == 5  # what is left over belongs to the last


def test_the_published_network_has_the_published_size(monkeypatch):
    monkeypatch.delenv("DATA_ROOT", raising=False)
    small = ["--model.init_args.backbone=resnet18+vit_tiny_patch16_224", "--model.init_args.width=8"]
    model, batch = published_network(["dpt_hybrid", *small])
    assert batch["image"].shape == (1, 3, 384, 384)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    cost = cost_of([["dpt_hybrid", *small]])
    assert list(cost) == list(COSTS)
    assert cost["cost/parameters"] == pytest.approx(sum(p.numel() for p in model.parameters()) / 1e6)
    assert 0 < cost["cost/gflops_blocks"] < cost["cost/gflops"]
    assert cost_of([["dpt_hybrid", *small]] * 2)["cost/gflops"] == pytest.approx(2 * cost["cost/gflops"])


def test_a_vit_block_by_hand(monkeypatch):
    """ViT-Tiny: 577 tokens of 192, 12 blocks of two attention products and of weights 12 d^2."""
    small = ["--model.init_args.backbone=resnet18+vit_tiny_patch16_224", "--model.init_args.width=8"]
    tokens, dim = 577, 192
    per_block = 2 * tokens * 12 * dim * dim + 2 * 2 * tokens * tokens * dim
    assert cost_of([["dpt_hybrid", *small]])["cost/gflops_blocks"] == pytest.approx(12 * per_block / 1e9, rel=1e-6)
