"""Photographs that are worse than they were: noise, blur, JPEG and darkness, to test robustness with.

Kinds and strengths after Hendrycks, Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", ICLR 2019 (ImageNet-C), of whose five severities `experiments/test_on/robustness.yaml` takes 1, 3 and 5.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from datamodules.frames import Frame, seeded
from datamodules.pipeline.preprocess import FrameStep


class Corruption(FrameStep):
    """A change of the image alone, the same whenever a frame is read; the truth stays."""

    @abstractmethod
    def corrupt(self, image: Tensor, index: int) -> Tensor:
        """Return the changed image (3, H, W) uint8 of the frame with this number in its data set."""

    def __call__(self, frame: Frame) -> Frame:
        """Return the frame with its image corrupted, without superpixels: they were made of the clean image."""
        maps = {key: map_ for key, map_ in frame.maps.items() if key != "superpixels"}
        return replace(frame, image=self.corrupt(frame.image, frame.index), maps=maps)


@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """Add independent normal noise to every channel of every pixel, clipped to 8 bits.

    Attributes:
        sigma: in steps of 8 bits; ImageNet-C's severities are 0.08, 0.12, 0.18, 0.26 and 0.38 of 255.
        seed: of the noise, which is the same for every method and, but for its strength, at every ``sigma``.
    """

    sigma: float
    seed: int = 0

    def corrupt(self, image: Tensor, index: int) -> Tensor:
        """Return the noisy image."""
        with seeded(self.seed, index):
            noise = self.sigma * torch.randn(image.shape)
        return (image + noise).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class GaussianBlur(Corruption):
    """Blur, alike at every size of a frame.

    Attributes:
        sigma: pixels of a frame with 224 rows, which is ImageNet-C's; its severities are 1, 2, 3, 4 and 6.
    """

    sigma: float

    def corrupt(self, image: Tensor, index: int) -> Tensor:
        """Return the blurred image."""
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        blurred = cv2.GaussianBlur(pixels, (0, 0), self.sigma * image.shape[-2] / 224)
        return torch.from_numpy(blurred).permute(2, 0, 1).contiguous()


@dataclass(frozen=True)
class JPEG(Corruption):
    """Write the image as a JPEG file and read it back.

    Attributes:
        quality: 1 to 100; ImageNet-C's severities are 25, 18, 15, 10 and 7.
    """

    quality: int

    def corrupt(self, image: Tensor, index: int) -> Tensor:
        """Return what the file holds."""
        return F.jpeg(image, self.quality)


@dataclass(frozen=True)
class Darkness(Corruption):
    """Expose the photograph for less light. ImageNet-C has no such corruption (its "brightness" adds light).

    Light of a share x of full scale is stored as x^(1/2.2), so that s stops less are a factor of 2^(-s/2.2), rounded to
    8 bits.

    Attributes:
        stops: halvings of the light.
    """

    stops: float

    def corrupt(self, image: Tensor, index: int) -> Tensor:
        """Return the dark image."""
        return (image * 2 ** (-self.stops / 2.2)).round().to(torch.uint8)
