"""Layers of generation and refinement module, and activation checkpointing for them."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import pairwise

from timm.models.resnet import BasicBlock
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

#: Channels that no map falls below, however narrow the network is made.
MIN_CHANNELS = 8

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def conv_bn_relu(in_channels: int, out_channels: int, kernel: int = 3) -> nn.Sequential:
    """Build a convolution that keeps the size, batch normalisation and ReLU: all layers of the paper but the last."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def residual_stage(in_channels: int, channels: int, units: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Build ``units`` basic residual units, the first of which changes width and size; named as ResNet's are."""
    shortcut = None
    if stride != 1 or in_channels != channels:
        shortcut = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels)
        )
    first = BasicBlock(in_channels, channels, stride=stride, downsample=shortcut, dilation=dilation)
    return nn.Sequential(first, *(BasicBlock(channels, channels, dilation=dilation) for _ in range(units - 1)))


def regression(in_channels: int, layers: int) -> nn.Sequential:
    """Build ``layers`` 3x3 convolutions down to one channel, each half as wide as the one before.

    Table 1 names the first and the last width only.
    """
    widths = [in_channels]
    for _ in range(layers - 1):
        widths.append(max(MIN_CHANNELS, widths[-1] // 2))
    hidden = [conv_bn_relu(wide, narrow) for wide, narrow in pairwise(widths)]
    return nn.Sequential(*hidden, nn.Conv2d(widths[-1], 1, 3, padding=1))


def scaled(channels: int, width_mult: float) -> int:
    """Return the channels of a map in a network of another width, at least :data:`MIN_CHANNELS`.

    Raises:
        ValueError: if the multiplier is not positive.
    """
    if width_mult <= 0:
        raise ValueError(f"`width_mult` must be positive, got {width_mult}")
    return max(MIN_CHANNELS, round(channels * width_mult))


def run_layers(layers: Sequence[nn.Module], x: Tensor, *, checkpointing: bool) -> Tensor:
    """Run layers one after the other; with checkpointing only the maps between them are kept for the backward pass."""
    for layer in layers:
        x = checkpointed(layer, x) if checkpointing else layer(x)
    return x


def checkpointed(layer: nn.Module, *inputs: Tensor) -> Tensor:
    """Run a layer without keeping its inner maps: the backward pass computes them again.

    The second run leaves the running statistics of batch normalisation alone, so that training is the same as without.
    """
    output: Tensor = checkpoint(layer, *inputs, use_reentrant=False, context_fn=partial(_contexts, layer))
    return output


def _contexts(layer: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), kept_statistics(layer)


@contextmanager
def kept_statistics(module: nn.Module) -> Iterator[None]:
    """Leave running mean, variance and count of batch normalisation as they are, inside a ``with``.

    Layers in training mode still normalise by the batch.
    """
    norms = [m for m in module.modules() if isinstance(m, BATCH_NORMS) and m.training]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        # Not `track_running_stats`: autograd saves the running statistics, and must meet the same tensors again
        norm.momentum = 0.0
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches
