"""From a task's features to its map at the size of the image: guided MTI-Net, section 5.2.1.

Every decoder takes (B, width, H / stride, W / stride) to (B, outputs, H, W). The paper names no channels: they are
halved with each doubling of the size, down to :data:`NARROWEST`.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from timm.layers import ConvNormAct
from torch import Tensor, nn

#: Channels that no layer of a decoder goes below.
NARROWEST = 16


def doublings(stride: int) -> int:
    """Return how often a map at a stride, a power of two, is doubled to reach the image's size."""
    return stride.bit_length() - 1


def halved(width: int, times: int) -> list[int]:
    """Return the channels after each of ``times`` halvings of ``width``, none below :data:`NARROWEST`."""
    return [max(width >> (step + 1), NARROWEST) for step in range(times)]


class DepthDecoder(nn.Module):
    """Bilinear doublings with skip connections, each followed by a convolution; the last one predicts.

    Args:
        width: channels of the features.
        stride: of the features.
        skips: channels of the skip maps, by their stride.
    """

    def __init__(self, width: int, stride: int, skips: Mapping[int, int]):
        super().__init__()
        steps = []
        inputs = width
        for step, outputs in enumerate(halved(width, doublings(stride))):
            steps.append(ConvNormAct(inputs + skips.get(stride >> (step + 1), 0), outputs, 3))
            inputs = outputs
        self.steps = nn.ModuleList(steps)
        self.predict = nn.Conv2d(inputs, 1, 3, padding=1)

    def forward(self, features: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """Predict a map of the image's size.

        Args:
            features: (B, width, h, w).
            skips: (B, channels, 2 h, 2 w), (B, channels, 4 h, 4 w), ... coarse to fine; the last doublings have none.

        Returns:
            (B, 1, stride h, stride w), unbounded.
        """
        for number, step in enumerate(self.steps):
            features = F.interpolate(features, scale_factor=2.0, mode="bilinear")
            features = step(torch.cat([features, skips[number]], dim=1) if number < len(skips) else features)
        return self.predict(features)


class SegmentationDecoder(nn.Sequential):
    """Transposed convolutions (kernel 4, stride 2), the last of which predicts class logits.

    Args:
        width: channels of the features.
        stride: of the features.
        classes: channels of the logits.
    """

    def __init__(self, width: int, stride: int, classes: int):
        channels = [width, *halved(width, doublings(stride) - 1)]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [
                nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers, nn.ConvTranspose2d(channels[-1], classes, 4, stride=2, padding=1))


class EdgeDecoder(nn.Sequential):
    """Two convolutions at the features' own size, then bilinear upsampling: light, as section 5.2.1 has it.

    Args:
        width: channels of the features.
        stride: of the features.
    """

    def __init__(self, width: int, stride: int):
        narrow = max(width // 4, NARROWEST)
        super().__init__(
            ConvNormAct(width, narrow, 3),
            nn.Conv2d(narrow, 1, 3, padding=1),
            nn.Upsample(scale_factor=float(stride), mode="bilinear"),
        )
