"""`channels_last`: every map of a network keeps that order, from the image to the depth, and every gradient of one."""

import pytest
from torch import Tensor, nn

from tests.networks.test_compiled import METHODS, make, make_batch

#: Normalisation of queries and keys, (B, heads, tokens, dim): no maps.
NO_MAPS = ("q_norm", "k_norm")


def in_other_order(tensors: object) -> list[tuple[int, ...]]:
    """Shapes of maps (B, C, H, W) whose images are not channels-last, where that makes a difference.

    Images may stand apart in memory: maps that were tokens beside a class token do.
    """
    listed = tensors if isinstance(tensors, (tuple, list)) else (tensors,)
    maps = [tensor for tensor in listed if isinstance(tensor, Tensor) and tensor.ndim == 4]
    maps = [tensor for tensor in maps if tensor.shape[1] > 1 and tensor.shape[2] * tensor.shape[3] > 1]
    return [tuple(tensor.shape) for tensor in maps if not tensor[0].permute(1, 2, 0).is_contiguous()]


def watch(network: nn.Module) -> tuple[list[object], list[object]]:
    """Lists that are filled with maps of another order as the network computes, forward and backward."""
    forward: list[object] = []
    backward: list[object] = []
    for name, module in network.named_modules():
        if name.endswith(NO_MAPS):
            continue
        module.register_forward_hook(
            lambda _, __, output, name=name: forward.extend((name, shape) for shape in in_other_order(output))
        )
        if isinstance(module, nn.Conv2d):
            module.register_full_backward_hook(
                lambda _, __, gradients, name=name: backward.extend((name, s) for s in in_other_order(gradients))
            )
    return forward, backward


@pytest.mark.parametrize("name", METHODS)
def test_no_map_changes_its_order(name):
    module = make(name, channels_last=True).train()
    module.configure_model()
    forward, backward = watch(module.network)
    module(make_batch()).depth.mean().backward()
    assert not forward
    assert not backward
