"""Guided attention against the printed equation in float64, and what it is made of."""

import math

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from lightning_modules.networks.mti_net import GuidedAttention


def by_hand(attention: GuidedAttention, features: np.ndarray, guide: np.ndarray) -> np.ndarray:
    """The paper's equation, one image and one head at a time; maps (B, C, h, w) in float64."""

    def project(name, tokens):
        layer = getattr(attention, name)
        weight = layer.weight.detach().numpy()[:, :, 0, 0].astype(np.float64)
        return tokens @ weight.T + layer.bias.detach().numpy().astype(np.float64)

    result = []
    for own, other in zip(features, guide, strict=True):
        own_tokens, other_tokens = (map_.reshape(len(map_), -1).T for map_ in (own, other))
        query, key, value = project("query", own_tokens), project("key", other_tokens), project("value", other_tokens)
        heads = []
        for q, k, v in zip(*(np.split(x, attention.heads, axis=1) for x in (query, key, value)), strict=True):
            scores = q @ k.T / math.sqrt(q.shape[1])
            weights = np.exp(scores - scores.max(1, keepdims=True))
            weights /= weights.sum(1, keepdims=True)
            heads.append(weights @ v)
        attended = project("output", np.concatenate(heads, axis=1))
        result.append(own + attended.T.reshape(own.shape))
    return np.stack(result)


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("guide_size", [(5, 7), (3, 4)])
def test_it_is_the_printed_equation(heads, guide_size):
    torch.manual_seed(0)
    attention = GuidedAttention(12, 10, dim=8, heads=heads)
    features, guide = 3 * torch.randn(2, 12, 5, 7), 3 * torch.randn(2, 10, *guide_size)
    expected = by_hand(attention, features.double().numpy(), guide.double().numpy())
    np.testing.assert_allclose(attention(features, guide).detach().numpy(), expected, rtol=0, atol=2e-6)
    exact = attention.double()(features.double(), guide.double())
    np.testing.assert_allclose(exact.detach().numpy(), expected, rtol=0, atol=1e-12)


def test_pooled_keys_are_the_attention_to_the_averaged_guide():
    torch.manual_seed(1)
    attention = GuidedAttention(6, 6, dim=4, key_pool=2).double()
    features, guide = torch.randn(2, 2, 6, 5, 6).double()  # 5 rows: the last window has one row only
    rows = [guide[..., 0:2, :].mean(-2), guide[..., 2:4, :].mean(-2), guide[..., 4, :]]
    pooled = torch.stack(rows, dim=-2).unflatten(-1, (3, 2)).mean(-1)
    whole = GuidedAttention(6, 6, dim=4).double()
    whole.load_state_dict(attention.state_dict())
    torch.testing.assert_close(attention(features, guide), whole(features, pooled), rtol=0, atol=1e-12)


def test_weights_sum_to_one_over_the_guides_positions():
    """With a value that is constant over positions, whatever the weights are, that constant comes out."""
    attention = GuidedAttention(6, 6, dim=4)
    torch.nn.init.zeros_(attention.value.weight)
    features, guide = torch.randn(2, 2, 6, 5, 7)
    added = attention(features, guide) - features
    expected = attention.output(attention.value.bias[None, :, None, None]).expand_as(added)
    torch.testing.assert_close(added, expected, rtol=0, atol=1e-5)


def test_the_residual_is_all_that_is_left_without_an_output():
    attention = GuidedAttention(6, 6, dim=4)
    torch.nn.init.zeros_(attention.output.weight)
    torch.nn.init.zeros_(attention.output.bias)
    features, guide = torch.randn(2, 2, 6, 5, 7)
    assert torch.equal(attention(features, guide), features)


def test_an_image_is_guided_by_itself_alone():
    attention = GuidedAttention(6, 6, dim=4)
    features, guide = torch.randn(2, 3, 6, 4, 4)
    alone = torch.cat([attention(features[i : i + 1], guide[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(attention(features, guide), alone, rtol=0, atol=1e-6)


def test_bfloat16_autocast_stays_near():
    torch.manual_seed(2)
    attention = GuidedAttention(16, 16, dim=8)
    features, guide = torch.randn(2, 2, 16, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        low = attention(features, guide)
    torch.testing.assert_close(low.float(), attention(features, guide), rtol=0, atol=0.05)


@pytest.mark.parametrize("key_pool", [1, 2])
def test_the_fused_kernel_takes_it(key_pool):
    """Which holds no scores, but refuses tensors whose channels do not lie side by side."""
    attention = GuidedAttention(16, 16, dim=8, heads=2, key_pool=key_pool)
    features, guide = torch.randn(2, 2, 16, 8, 8)
    plain = attention(features, guide)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # and no other: torch raises where it does not fit
        torch.testing.assert_close(attention(features, guide), plain, rtol=0, atol=1e-5)
