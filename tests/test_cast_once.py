"""Weights cast once a step against autocast's own casts: the same numbers, and fewer operators."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_modules.training.cast_once import call_with_cast_weights, cast_parameters, cast_together


class Network(nn.Module):
    """Convolution, norm, two uses of one linear layer, and a layer that is not used."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.LayerNorm(8)
        self.linear = nn.Linear(8, 8)
        self.frozen = nn.Linear(8, 8).requires_grad_(False)
        self.unused = nn.Linear(8, 8)
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, image):
        tokens = self.convolution(image).flatten(2).mT
        return self.linear(self.frozen(self.linear(self.norm(tokens)).relu())) * self.scale


class Count(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


def gradients(call, network, image, autocast=True):
    network.zero_grad()
    with Count() as counted:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            result = call(network, image)
        result.float().square().sum().backward()
    return result, {name: each.grad for name, each in network.named_parameters()}, counted.names


@pytest.mark.parametrize("autocast", [True, False])
def test_results_and_gradients_are_those_of_autocast(autocast):
    torch.manual_seed(0)
    network, image = Network(), torch.randn(2, 3, 6, 6)
    expected, of_autocast, before = gradients(lambda net, x: net(x), network, image, autocast)
    found, own, after = gradients(call_with_cast_weights, network, image, autocast)
    assert torch.equal(found, expected)
    assert own["unused.weight"] is None
    assert own["frozen.weight"] is None
    for name, gradient in of_autocast.items():
        assert gradient is None or torch.equal(own[name], gradient), name
        assert own[name] is None or own[name].dtype == torch.float32
    casts = [sum(name.startswith("aten._to_copy") for name in names) for names in (before, after)]
    assert casts[1] == casts[0] - (8 if autocast else 0)  # two weights, two biases, there and back


def test_without_gradients_nothing_is_replaced():
    network, image = Network(), torch.randn(1, 3, 4, 4)
    with torch.no_grad(), Count() as counted, torch.autocast("cpu", dtype=torch.bfloat16):
        call_with_cast_weights(network, image)
    assert not any("cast_together" in name for name in counted.names)


def test_norms_and_single_parameters_keep_their_type():
    names = set(cast_parameters(Network()))
    assert names == {f"{layer}.{own}" for layer in ("convolution", "linear", "unused") for own in ("weight", "bias")}


def test_layouts_are_kept():
    weight = torch.randn(4, 3, 3, 3).contiguous(memory_format=torch.channels_last)
    (copy,) = cast_together([weight], torch.bfloat16)
    assert torch.equal(copy, weight.bfloat16())
    assert copy.stride() == weight.stride()
    assert cast_together([], torch.bfloat16) == []


def test_the_operator_is_registered_as_it_should_be():
    weights = [torch.randn(3, 2), torch.randn(4)]
    torch.library.opcheck(cast_together, (weights, torch.bfloat16))
