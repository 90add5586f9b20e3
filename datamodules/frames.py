"""A frame as it lies on disk, the readers that give it, and the data set that turns it into a sample."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.sample import Sample


@dataclass(frozen=True)
class Frame:
    """One frame before any transform.

    Attributes:
        image: (3, H, W) uint8 RGB.
        maps: what else is known of every pixel, (..., H, W), by the keys, shapes and dtypes of :class:`Sample`.
            ``depth`` is always there, 0 where invalid; ``valid`` comes later.
        intrinsics: (3, 3) float32 camera matrix K, pixels, pixel centres at integers: a point (X, Y, Z) shows at
            K (X, Y, Z) up to scale. Upper triangular but for tilted sensors (HyperSim).
        scene: name of the scene.
        frame: number of the frame in its scene.
        index: number of the frame in its data set, 0-based; unique there.
        facts: what is known of the frame as a whole, tensors of fixed shape.
        sparse: whether a few hundred pixels of depth are measured, each of which counts when the frame is resized.
        pixel_map: (3, 3) float32, takes native pixel coordinates (x, y, 1) to this frame's.
    """

    image: Tensor
    maps: dict[str, Tensor]
    intrinsics: Tensor
    scene: str
    frame: int
    index: int
    facts: dict[str, Tensor] = field(default_factory=dict)
    sparse: bool = False
    pixel_map: Tensor = field(default_factory=lambda: torch.eye(3))

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width."""
        height, width = self.image.shape[-2:]
        return height, width


class FrameReader(ABC):
    """Random access to the frames of a data set; picklable, for workers that are spawned.

    Attributes:
        provides: keys of the frames' ``maps`` and ``facts``.
        size: height and width of every frame; where they differ, the smallest of each, see :meth:`size_of`.
        scenes: scene of every frame.
        frame_numbers: number of every frame in its scene.
        provenance: where the files themselves say that they come from; empty where they do not.
        depth_remarks: what else must be said of their depth beside metrics.
        sparse: whether a few hundred pixels of depth are measured, see :class:`Frame`.
    """

    provenance: str = ""
    depth_remarks: tuple[str, ...] = ()
    sparse: bool = False
    provides: frozenset[str]
    size: tuple[int, int]
    scenes: Sequence[str]
    frame_numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.scenes)

    @property
    def indices(self) -> Sequence[int]:
        """Return the number of every frame in its data set, see :class:`Frame`."""
        return range(len(self))

    def size_of(self, position: int) -> tuple[int, int]:
        """Return height and width of a frame, without reading it; :attr:`size` where all share one."""
        return self.size

    def name_of(self, position: int) -> str:
        """Return what the files call a frame, such as ``attic/0001``, unique in the set; empty where they do not."""
        return ""

    @abstractmethod
    def read(self, position: int) -> Frame:
        """Return the frame at a 0-based position.

        Raises:
            FileNotFoundError: if a file of it is missing, naming it.
            ValueError: if a file of it is damaged, or holds what its format does not allow, naming file and key.
        """

    def check_files(self, positions: Iterable[int]) -> None:  # noqa: B027  (one file is checked when it is opened)
        """Check that the files of some frames exist, without opening them.

        Raises:
            FileNotFoundError: if some are missing, naming the first and how many.
        """

    def read_depth(self, position: int) -> Tensor:
        """Return the depth of a frame alone, (1, H, W) float32 metres, 0 where invalid; raises as :meth:`read` does."""
        return self.read(position).maps["depth"]

    def oddities(self, position: int) -> tuple[str, ...]:
        """Return what is odd about the files of a frame that can be read, for `segdepth data verify`."""
        return ()

    @abstractmethod
    def source(self, position: int) -> str:
        """Return the file, and the place in it, that the frame comes from, for messages."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Return what names the files and every option that shapes the frames: caches of derived maps depend on it."""


class WrappedReader(FrameReader):
    """Base of readers that change or extend another reader's frames; what a subclass leaves alone is the other's.

    A subclass implements :meth:`read` and :attr:`identity`, and overrides what else it changes.

    Args:
        reader: where the frames come from.
    """

    def __init__(self, reader: FrameReader):
        self.reader = reader
        self.scenes, self.size, self.provides = reader.scenes, reader.size, reader.provides
        self.provenance, self.depth_remarks, self.sparse = reader.provenance, reader.depth_remarks, reader.sparse

    @property
    def frame_numbers(self) -> Sequence[int]:  # type: ignore[override]
        """Return the number of every frame in its scene."""
        return self.reader.frame_numbers

    @property
    def indices(self) -> Sequence[int]:
        """Return the number of every frame in its data set."""
        return self.reader.indices

    def size_of(self, position: int) -> tuple[int, int]:
        """Return height and width of a frame of the wrapped reader."""
        return self.reader.size_of(position)

    def name_of(self, position: int) -> str:
        """Return what the files of the wrapped reader call a frame."""
        return self.reader.name_of(position)

    def check_files(self, positions: Iterable[int]) -> None:
        """Check that the wrapped reader's files of some frames exist; raises as its method does."""
        self.reader.check_files(positions)

    def oddities(self, position: int) -> tuple[str, ...]:
        """Return what the wrapped reader finds odd about a frame."""
        return self.reader.oddities(position)

    def source(self, position: int) -> str:
        """Return the file, and the place in it, that the frame comes from, for messages."""
        return self.reader.source(position)

    def read_depth(self, position: int) -> Tensor:
        """Return the wrapped reader's depth of a frame, (1, H, W) float32 metres, 0 where invalid."""
        return self.reader.read_depth(position)


def clean_depth(
    depth: NDArray[Any], min_depth: float, max_depth: float, source: str, *, nan_is_hole: bool = False
) -> Tensor:
    """Return depth (1, H, W) float32 of a map (H, W) in metres, 0 where it is missing or out of range.

    Args:
        depth: as the format codes it, 0 in holes.
        min_depth: metres; depth below it is invalid.
        max_depth: metres; depth above it is invalid.
        source: names file and key in messages.
        nan_is_hole: whether the format marks pixels without a surface by not-a-number (HyperSim).

    Raises:
        ValueError: if nothing is valid, or values are not finite where the format has none such.
    """
    values = torch.from_numpy(np.ascontiguousarray(depth, dtype=np.float32))  # of any byte order
    finite = values.isfinite()
    if not nan_is_hole and not finite.all():
        raise ValueError(
            f"{source}: {int((~finite).sum())} pixels of depth are NaN or infinite, which the format does not have; "
            "fetch or make the file again"
        )
    valid = finite & (values > 0) & (values >= min_depth) & (values <= max_depth)
    if not valid.any():
        measured = values[finite & (values > 0)]
        found = f" (its median is {float(measured.median()):.4g}: another unit?)" if len(measured) else ""
        raise ValueError(
            f"{source}: no depth in {min_depth:g}..{max_depth:g} m{found}; leave the frame out, or change `min_depth`, "
            "`max_depth`, or where depth is read from"
        )
    return values.where(valid, 0)[None]


def derive_seed(*numbers: int) -> int:
    """Return a well mixed 32-bit seed that is a pure function of some non-negative integers (order matters)."""
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
        skip_bad: take the next readable frame in place of one that cannot be read, warn with its file's name, and count
            it in the sample's ``skipped``; else reading it raises.
    """

    def __init__(
        self,
        reader: FrameReader,
        indices: Sequence[int],
        transform: Callable[[Frame], Sample],
        seed: int = 0,
        *,
        skip_bad: bool = False,
    ):
        self.reader = reader
        self.indices = tuple(int(index) for index in indices)
        self.transform = transform
        self.seed = seed
        self.skip_bad = skip_bad

    def __len__(self) -> int:
        return len(self.indices)

    def sizes(self) -> list[tuple[int, int]]:
        """Return height and width of each frame as it lies on disk."""
        return [self.reader.size_of(index) for index in self.indices]

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        """Return the sample at a position, or at the (position, epoch) that a training sampler gives.

        Raises:
            FileNotFoundError: if a file of the frame is missing, unless ``skip_bad``.
            ValueError: if one is damaged, unless ``skip_bad``; with it, if no frame of the set can be read.
        """
        position, epoch = key if isinstance(key, tuple) else (key, 0)
        if not self.skip_bad:
            return self._sample(position, epoch)
        for skipped in range(len(self)):
            try:
                sample = self._sample((position + skipped) % len(self), epoch)
            except (FileNotFoundError, ValueError) as error:  # other errors are not of the frame: a full disk
                warnings.warn(f"skipped: {error}", stacklevel=2)
            else:
                return cast(Sample, {**sample, "skipped": skipped})
        raise ValueError("none of the frames can be read; `segdepth data verify` names what is wrong with each")

    def _sample(self, position: int, epoch: int) -> Sample:
        frame = self.reader.read(self.indices[position])
        with seeded(self.seed, epoch, frame.index):
            return self.transform(frame)
