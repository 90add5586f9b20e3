"""Widen the first convolution of a pretrained encoder for more input channels."""

import copy

import torch
from torch import nn


@torch.no_grad()
def widen_first_convolution(encoder: nn.Module, channels: int, trained: int = 3) -> None:
    """Let an encoder take ``channels`` input channels, of which the first ``trained`` are read as before.

    The first convolution is replaced by a wider one. Its weights for the first channels are the pretrained ones, those
    for the others are drawn as a new convolution's (Semantic-MD's code). Where the other channels are zero, so the
    output stays the same. smp would repeat the pretrained weights over all channels, and scale them.

    Args:
        encoder: changed in place.
        channels: number of input channels afterwards.
        trained: number of input channels before.

    Raises:
        ValueError: if the encoder has no convolution of ``trained`` input channels, or ``channels`` are fewer.
    """
    if channels < trained:
        raise ValueError(f"need {trained} input channels or more, got {channels}")
    if channels == trained:
        return
    for parent in encoder.modules():
        for name, module in parent.named_children():
            if isinstance(module, nn.Conv2d) and module.in_channels == trained and module.groups == 1:
                setattr(parent, name, _widened(module, channels))
                return
    raise ValueError(f"the encoder has no first convolution of {trained} input channels to widen")


def _widened(convolution: nn.Conv2d, channels: int) -> nn.Conv2d:
    wide = copy.deepcopy(convolution)  # of whatever subclass, with its padding
    wide.in_channels = channels
    wide.weight = nn.Parameter(convolution.weight.new_empty(wide.out_channels, channels, *wide.kernel_size))
    wide.reset_parameters()
    wide.weight[:, : convolution.in_channels] = convolution.weight
    if convolution.bias is not None and wide.bias is not None:
        wide.bias.copy_(convolution.bias)
    return wide
