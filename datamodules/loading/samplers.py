"""Which process sees which frame, and when.

The samplers of frames are ``DistributedSampler``s, so that Lightning leaves them in place and tells them the epoch.
"""

from collections.abc import Iterator, Sequence, Sized
from itertools import groupby, islice
from typing import Any

import torch
from torch.utils.data import BatchSampler, DistributedSampler, SequentialSampler

from datamodules.frames import derive_seed


class TrainSampler(DistributedSampler[Any]):
    """Every frame once an epoch, in an order that depends on seed and epoch alone, as (position, epoch) pairs.

    All processes get the same number of frames. The up to ``num_replicas - 1`` frames that are left over sit out, other
    ones each epoch; a set smaller than the number of processes is repeated instead.

    Args:
        dataset: anything with a length.
        seed: of the order.
        num_replicas: number of processes.
        rank: of this process.

    Attributes:
        start: frames of this process's part of the epoch to leave out at its beginning: they were seen before an
            interruption.
    """

    start = 0

    def __init__(self, dataset: Sized, *, seed: int = 0, num_replicas: int = 1, rank: int = 0):
        drop_last = len(dataset) >= num_replicas
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, seed=seed, drop_last=drop_last)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        order = self._order()
        order = (order * -(-self.total_size // len(order)))[: self.total_size]
        mine = order[self.rank :: self.num_replicas]
        return ((position, self.epoch) for position in mine[self.start :])

    def _order(self) -> list[int]:
        # Not the base class's order: it seeds with seed + epoch, so runs of neighbouring seeds share their orders.
        generator = torch.Generator().manual_seed(derive_seed(self.seed, self.epoch))
        order: list[int] = torch.randperm(len(self.dataset), generator=generator).tolist()  # type: ignore[arg-type]
        return order


class OverfitSampler(TrainSampler, SequentialSampler):
    """As :class:`TrainSampler`, in the data set's own order every epoch, for `trainer.overfit_batches`.

    Lightning leaves nothing but a ``SequentialSampler`` in place under that option.
    """

    def _order(self) -> list[int]:
        return list(range(len(self.dataset)))  # type: ignore[arg-type]


class EvalSampler(DistributedSampler[Any], SequentialSampler):
    """Every frame exactly once over all processes, in order: process r gets r, r + W, r + 2 W, ...

    Nothing is repeated to fill up, so metrics are the same on 1 and on W processes.

    Args:
        dataset: anything with a length.
        num_replicas: number of processes W.
        rank: of this process.
        start: frames of this process to leave out at the beginning: a test that was stopped has done them.
        sizes: height and width of each frame, of which :class:`BatchesOfOneSize` are made; None for one of all.
    """

    def __init__(
        self,
        dataset: Sized,
        *,
        num_replicas: int = 1,
        rank: int = 0,
        start: int = 0,
        sizes: Sequence[tuple[int, int]] | None = None,
    ):
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self.start, self.sizes = start, sizes
        self.positions = range(rank, len(dataset), num_replicas)[start:]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.positions)

    def __len__(self) -> int:
        return len(self.positions)


class BatchesOfOneSize(BatchSampler):
    """Frames in the order of a sampler, in batches that end where the next frame is of another size.

    A frame keeps the size that it has, and all frames their order, which resumed tests and metrics go by.

    Args:
        sampler: the frames, and their sizes.
        batch_size: frames of a batch, at most.
        drop_last: for Lightning, which makes batch samplers anew by these three names; every frame is in a batch.
    """

    sampler: EvalSampler

    def __init__(self, sampler: EvalSampler, batch_size: int, drop_last: bool = False):
        super().__init__(sampler, batch_size, drop_last=False)

    def __iter__(self) -> Iterator[list[int]]:
        sizes = self.sampler.sizes
        for _, alike in groupby(self.sampler, key=lambda position: None if sizes is None else sizes[position]):
            while batch := list(islice(alike, self.batch_size)):
                yield batch

    def __len__(self) -> int:
        return sum(1 for _ in self)
