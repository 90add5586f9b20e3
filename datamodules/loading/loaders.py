"""The loaders of a training, a validation and a test set."""

from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric.utilities import suggested_max_num_workers
from torch.utils.data import DataLoader

from datamodules.frames import FrameDataset
from datamodules.loading.processes import Processes
from datamodules.loading.samplers import BatchesOfOneSize, EvalSampler, OverfitSampler, TrainSampler
from datamodules.loading.train_loader import TrainLoader
from datamodules.loading.workers import prepare_worker
from datamodules.sample import Sample, collate


@dataclass(frozen=True)
class Loaders:
    """Makes the loaders of one data set.

    Attributes:
        name: of the data set, for messages.
        processes: that share its frames.
        num_workers: loader processes per process; None takes up to 8, no more than there are free cores.
    """

    name: str
    processes: Processes
    num_workers: int | None

    def train(self, dataset: FrameDataset, batch_size: int, *, seed: int, shuffle: bool = True) -> DataLoader[Sample]:
        """Return batches of crops, all full unless that would leave none.

        Args:
            dataset: the training frames.
            batch_size: frames that this process loads at a time.
            seed: of the order.
            shuffle: in an order of its own each epoch; else in the data set's order.

        Raises:
            ValueError: if there are no frames.
        """
        if not len(dataset):
            raise ValueError(f"{self.name}: has no training frames, it is there to test on; train on another data set")
        order = TrainSampler if shuffle else OverfitSampler
        sampler = order(dataset, seed=seed, num_replicas=self.processes.count, rank=self.processes.rank)
        return TrainLoader(sampler=sampler, drop_last=len(sampler) >= batch_size, **self._options(batch_size))

    def evaluation(
        self, dataset: FrameDataset, batch_size: int, *, keep_workers: bool = False, start: int = 0
    ) -> DataLoader[Sample]:
        """Return whole frames, each exactly once over all processes, those of a batch of one size.

        Args:
            dataset: the frames.
            batch_size: frames that this process loads at a time.
            keep_workers: from one pass to the next; else they end with each, as those of many test sets do.
            start: frames of this process to leave out at the beginning: a test that was stopped has done them.

        Raises:
            ValueError: if there are fewer frames than processes.
        """
        if len(dataset) < self.processes.count:
            # A process without a batch would skip the metrics' reduction, for which the others wait forever.
            raise ValueError(
                f"{self.name}: {self.processes.count} processes cannot share {len(dataset)} frames to evaluate; "
                "lower `trainer.devices`, or hold out more scenes (`data.init_args.val_scenes`)"
            )
        sizes = dataset.sizes()
        differ = len(set(sizes)) > 1
        sampler = EvalSampler(
            dataset, start=start, num_replicas=self.processes.count, rank=self.processes.rank,
            sizes=sizes if differ else None,
        )  # fmt: skip
        # starting workers draws nothing from the global generator, which is the network's
        options = {**self._options(batch_size, keep_workers=keep_workers), "generator": torch.Generator()}
        if not differ:
            return DataLoader(dataset, sampler=sampler, **options)
        del options["batch_size"]
        return OneSizeLoader(dataset, batch_sampler=BatchesOfOneSize(sampler, batch_size), **options)

    def _options(self, batch_size: int, *, keep_workers: bool = True) -> dict[str, Any]:
        workers = self.num_workers
        if workers is None:
            workers = min(8, suggested_max_num_workers(self.processes.devices))
        return {
            "batch_size": batch_size,
            "num_workers": workers,
            "collate_fn": collate,
            "pin_memory": torch.cuda.is_available(),
            "worker_init_fn": prepare_worker,
            "persistent_workers": keep_workers and workers > 0,
        }


class OneSizeLoader(DataLoader[Sample]):
    """A loader over :class:`~datamodules.loading.samplers.BatchesOfOneSize`, whose ``sampler`` is theirs.

    A ``DataLoader`` that is given batches has a plain sequential sampler, and Lightning makes the batches of a
    prediction anew from the loader's sampler.

    Args:
        dataset: the frames.
        batch_sampler: their batches.
        options: of :class:`~torch.utils.data.DataLoader`.
    """

    def __init__(self, dataset: FrameDataset, *, batch_sampler: BatchesOfOneSize, **options: Any):
        super().__init__(dataset, batch_sampler=batch_sampler, **options)
        self.__dict__["sampler"] = batch_sampler.sampler  # torch refuses to set it
