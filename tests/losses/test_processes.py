"""A loss over two processes is the loss, and has the gradients, of their whole batch in one."""

import pytest
import torch
from torch import distributed as dist
from torch import nn

from lightning_modules.losses import BerHuLoss, L1Loss, SegmentationLoss, SILogLoss, SobelCorrelationLoss


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = 1 + 4 * torch.rand(5, 1, 6, 7, generator=generator).double()
    prediction = target * (0.3 * torch.randn(target.shape, generator=generator)).exp()
    valid = torch.rand(target.shape, generator=generator) < torch.tensor([0.2, 0.6, 0.9, 0, 0.4]).view(5, 1, 1, 1)
    return prediction, target, valid


class OfClasses(nn.Module):
    """A segmentation loss of logits and labels made of depth, so that it takes what the others take."""

    def __init__(self, loss: SegmentationLoss):
        super().__init__()
        self.loss = loss

    def forward(self, prediction: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        logits = torch.cat([prediction, 2 - prediction, prediction.square() / 4], dim=1)
        return self.loss(logits, (target.long() % 3 + 1).where(valid, 0)[:, 0])


class OfEdges(SobelCorrelationLoss):
    """The correlation loss, likewise."""

    def forward(self, prediction: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        return super().forward(prediction.square() / 25, (target > 3).double(), valid)


def loss_and_slope(loss: nn.Module, part: slice) -> tuple[float, float]:
    """The loss of part of the batch, and its derivative with respect to a bias on the prediction."""
    prediction, target, valid = (values[part] for values in batch())
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    value = loss(prediction + bias, target, valid)
    (slope,) = torch.autograd.grad(value, bias)
    return value.item(), slope.item()


def in_process(rank: int, loss: nn.Module, rendezvous: str) -> tuple[float, float]:
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
    check(SILogLoss(0.5, form, reduction=reduction), tmp_path, two_processes)


@pytest.mark.ddp
@pytest.mark.parametrize(
    "loss",
    [
        L1Loss(),
        BerHuLoss("max_residual", "batch"),
        BerHuLoss("max_value", "image"),
        OfClasses(SegmentationLoss(0.5, dice=0.3, focal_tversky=0.2)),
        OfClasses(SegmentationLoss(0.5, 0.3, 0.2, mean_over="all", probabilities="sigmoid", unlabelled="negative")),
        OfEdges(size=3),
    ],
    ids=["l1", "berhu_batch", "berhu_image", "segmentation", "released", "sobel"],
)
def test_semantic_md(tmp_path, two_processes, loss):
    check(loss, tmp_path, two_processes)


def check(loss, tmp_path, two_processes):
    expected = loss_and_slope(loss, slice(None))
    parts = [two_processes.submit(in_process, rank, loss, str(tmp_path / "rendezvous")) for rank in range(2)]
    for part in parts:
        assert part.result() == pytest.approx(expected, rel=1e-12)
