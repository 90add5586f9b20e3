"""A frame as it lies on disk, the readers that give it, and the data set that turns it into a sample."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.sample import Sample


@dataclass(frozen=True)
class Frame:
    """One frame before any transform.

    Attributes:
        image: (3, H, W) uint8 RGB.
        maps: what else is known of every pixel, (..., H, W), by the keys, shapes and dtypes of :class:`Sample`.
            ``depth`` is always there, 0 where invalid; ``valid`` and ``superpixels`` come later.
        intrinsics: (3, 3) float32 pinhole matrix, pixels, pixel centres at integers.
        scene: name of the scene.
        frame: number of the frame in its scene.
        index: position of the frame in its data set, 0-based.
    """

    image: Tensor
    maps: dict[str, Tensor]
    intrinsics: Tensor
    scene: str
    frame: int
    index: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.image.shape[-2:]
        return height, width


class FrameReader(Protocol):
    """Random access to the frames of a data set; picklable, for workers that are spawned.

    Attributes:
        provides: keys of the frames' ``maps``.
        size: height and width of every frame.
        scenes: scene of every frame.
    """

    provides: frozenset[str]
    size: tuple[int, int]
    scenes: tuple[str, ...]

    def read(self, index: int) -> Frame:
        """The frame at a 0-based index."""

    def read_depth(self, index: int) -> Tensor:
        """Its depth alone, (1, H, W) float32 metres, 0 where invalid."""


def derive_seed(*numbers: int) -> int:
    """A well mixed 32-bit seed that is a pure function of some non-negative integers (order matters)."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Draw torch's CPU random numbers from a seed of these integers inside the block, and restore the state after it.

    Only the CPU generator is touched: ``torch.manual_seed`` would reset the GPU's as well, and with it a running
    training's dropout.
    """
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(derive_seed(*numbers))
        yield


class FrameDataset(Dataset[Sample]):
    """Some frames of a reader, transformed.

    The random numbers of a transform depend on the seed, the epoch and the frame alone: not on the number of workers or
    processes, and not on whether training was interrupted.

    Args:
        reader: where the frames come from.
        indices: frames of this set, positions in the reader.
        transform: from frame to sample; may draw from torch's CPU generator.
        seed: of the transforms' random numbers.
    """

    def __init__(
        self, reader: FrameReader, indices: Sequence[int], transform: Callable[[Frame], Sample], seed: int = 0
    ):
        self.reader = reader
        self.indices = tuple(int(index) for index in indices)
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        """The sample at a position, or, from :class:`~datamodules.samplers.TrainSampler`, at a position and epoch."""
        position, epoch = key if isinstance(key, tuple) else (key, 0)
        frame = self.reader.read(self.indices[position])
        with seeded(self.seed, epoch, frame.index):
            return self.transform(frame)
