import itertools

import pytest
import torch
import torch.nn.functional as F

from lightning_modules.networks.shed.hierarchy import hard_segments, project_to_superpixels
from lightning_modules.networks.shed.unpooling import Unpooling, unpool

SIZES = (12, 6, 4, 2)


@pytest.fixture
def assignments():
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, n, k, dtype=torch.float64, generator=generator).softmax(2) for n, k in itertools.pairwise(SIZES)
    ]


def test_unpooling_preserves_constants(assignments):
    constant = torch.randn(2, 1, 5, dtype=torch.float64)
    for assignment in assignments:
        n, k = assignment.shape[1:]
        torch.testing.assert_close(
            unpool(constant.expand(-1, k, -1), assignment), constant.expand(-1, n, -1), rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("level", range(4))
def test_projection_is_the_product_of_the_chain(assignments, level):
    tokens = torch.randn(2, SIZES[level], 5, dtype=torch.float64)
    chain = torch.eye(12, dtype=torch.float64).expand(2, 12, 12)
    for assignment in assignments[:level]:
        chain = torch.einsum("bij,bjk->bik", chain, assignment)
    torch.testing.assert_close(project_to_superpixels(tokens, assignments[:level]), chain @ tokens, rtol=0, atol=1e-12)


def test_hard_segments_are_products_of_one_hot_matrices(assignments):
    superpixels = torch.randint(12, (2, 9, 7))
    segments = hard_segments(superpixels, assignments)
    one_hot = F.one_hot(superpixels.flatten(1), 12)
    assert [s.shape for s in segments] == [superpixels.shape] * 4
    assert torch.equal(segments[0], superpixels)
    for assignment, labels in zip(assignments, segments[1:], strict=True):
        one_hot = one_hot @ F.one_hot(assignment.argmax(2), assignment.shape[2])
        assert (one_hot.sum(2) == 1).all()  # every pixel in exactly one segment
        assert torch.equal(one_hot.argmax(2).view_as(superpixels), labels)


def test_hard_segments_are_nested(assignments):
    segments = hard_segments(torch.randint(12, (2, 30, 30)), assignments)
    for image in range(2):
        for fine, coarse in itertools.pairwise(segments):
            for label in fine[image].unique():
                assert len(coarse[image][fine[image] == label].unique()) == 1


def test_unpooling_module_follows_the_formula(assignments):
    coarse, skip = torch.randn(2, 6, 8, dtype=torch.float64), torch.randn(2, 12, 8, dtype=torch.float64)
    plain, residual = (Unpooling(8, mlp).double() for mlp in ("plain", "residual"))
    residual.load_state_dict(plain.state_dict())
    fused = torch.einsum("bij,bjd->bid", assignments[0], coarse) + skip
    hidden = F.gelu(plain.mlp.fc1(F.layer_norm(fused, (8,))))
    update = hidden @ plain.mlp.fc2.weight.T + plain.mlp.fc2.bias
    torch.testing.assert_close(plain(coarse, assignments[0], skip), update)
    torch.testing.assert_close(residual(coarse, assignments[0], skip), fused + update)
