"""A loss over two processes is the loss, and has the gradients, of their whole batch in one."""

import pytest
import torch
from torch import distributed as dist

from lightning_modules.losses import SILogLoss


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = 1 + 4 * torch.rand(5, 1, 6, 7, generator=generator).double()
    prediction = target * (0.3 * torch.randn(target.shape, generator=generator)).exp()
    valid = torch.rand(target.shape, generator=generator) < torch.tensor([0.2, 0.6, 0.9, 0, 0.4]).view(5, 1, 1, 1)
    return prediction, target, valid


def loss_and_slope(loss: SILogLoss, part: slice) -> tuple[float, float]:
    """The loss of part of the batch, and its derivative with respect to a bias on the prediction."""
    prediction, target, valid = (values[part] for values in batch())
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    value = loss(prediction + bias, target, valid)
    (slope,) = torch.autograd.grad(value, bias)
    return value.item(), slope.item()


def in_process(rank: int, loss: SILogLoss, rendezvous: str) -> tuple[float, float]:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    try:
        value, slope = loss_and_slope(loss, slice(0, 2) if rank == 0 else slice(2, 5))
        mean = torch.tensor(slope, dtype=torch.float64)
        dist.all_reduce(mean)  # DDP's mean of gradients
        return value, mean.item() / 2
    finally:
        dist.destroy_process_group()


@pytest.mark.ddp
@pytest.mark.parametrize("form", ["sqrt", "raw"])
@pytest.mark.parametrize("reduction", ["batch", "image"])
def test_silog(tmp_path, two_processes, form, reduction):
    loss = SILogLoss(0.5, form, reduction=reduction)
    expected = loss_and_slope(loss, slice(None))
    parts = [two_processes.submit(in_process, rank, loss, str(tmp_path / "rendezvous")) for rank in range(2)]
    for part in parts:
        assert part.result() == pytest.approx(expected, rel=1e-12)
