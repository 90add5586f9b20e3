"""A pretrained encoder for more channels than it was trained on."""

import copy

import torch
from torch import nn


@torch.no_grad()
def widen_first_convolution(encoder: nn.Module, channels: int, trained: int = 3) -> None:
    """Let an encoder take ``channels`` input channels: the first ``trained`` are read as before.

    As Semantic-MD's code has it: the first convolution is replaced by a wider one, whose weights for the first channels
    are the pretrained ones and for the others as a new convolution's. Where the further channels are zero the output is
    what it was. (smp repeats the pretrained weights over all channels instead, and scales them.)

    Args:
        encoder: changed in place.
        channels: that it takes afterwards.
        trained: that it takes now.

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
