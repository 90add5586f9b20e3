"""Fused optimizers by default on CUDA, and how they leave out a step whose gradient is not finite."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from lightning_modules.training.nonfinite import NonFiniteError, NonFiniteGuard
from lightning_modules.training.optimization import fuse, is_fused


def parameters(device):
    with FakeTensorMode():
        return [nn.Parameter(torch.empty(2, device=device))]


@pytest.mark.parametrize("build", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_cuda_parameters_are_updated_by_fused_kernels(build):
    optimizer = build(parameters("cuda"), lr=0.1)
    fuse(optimizer)
    assert is_fused(optimizer)


@pytest.mark.parametrize("chosen", [{"fused": False}, {"foreach": True}, {"foreach": False}])
def test_what_is_chosen_stays(chosen):
    optimizer = torch.optim.Adam(parameters("cuda"), **chosen)
    fuse(optimizer)
    assert not is_fused(optimizer)


def test_other_devices_and_optimizers_are_left_alone():
    for optimizer in (torch.optim.Adam(parameters("cpu")), torch.optim.RMSprop(parameters("cuda"))):
        fuse(optimizer)
        assert not is_fused(optimizer)


def test_a_fused_optimizer_leaves_out_a_step_that_is_not_finite():
    weight, other = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimizer, plain = torch.optim.Adam([weight], lr=0.1, fused=True), torch.optim.Adam([other], lr=0.1)
    guard = NonFiniteGuard("stop", late=True)
    for step in range(3):
        weight.grad, other.grad = torch.full((3,), 1.0 + step), torch.full((3,), 1.0 + step)
        guard.check([weight], step, optimizer)
        optimizer.step()
        plain.step()
        torch.testing.assert_close(weight, other)
    before, state = weight.detach().clone(), {key: value.clone() for key, value in optimizer.state[weight].items()}
    weight.grad = torch.tensor([1.0, float("nan"), 1.0])
    guard.check([weight], 3, optimizer)
    optimizer.step()
    assert torch.equal(weight, before)
    assert all(torch.equal(optimizer.state[weight][key], value) for key, value in state.items())
    with pytest.raises(NonFiniteError, match="step 3"):
        guard.settle()
