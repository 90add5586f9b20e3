"""How frames become batches, and how processes and loader workers share them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning.fabric.utilities import suggested_max_num_workers
from torch.utils.data import DataLoader

from datamodules.frames import FrameDataset
from datamodules.loading.samplers import EvalSampler, OverfitSampler, TrainSampler
from datamodules.loading.train_loader import TrainLoader
from datamodules.loading.workers import prepare_worker
from datamodules.pipeline.frame_source import FrameSource
from datamodules.sample import Sample, collate


class BatchingDataModule(FrameSource):
    """Loaders of a training, a validation and one or more test sets.

    Attributes:
        batch_size: frames of one optimizer step, over all processes and accumulated batches.
        eval_batch_size: frames per process, in evaluation.
        num_workers: loader processes per process; None takes up to 8, no more than there are free cores.
        seed: of the order of training frames, too.
        train_set, val_set, test_set: frames, once set up.
    """

    batch_size: int
    eval_batch_size: int
    num_workers: int | None
    #: How many frames of a test set this process has tested before, by the set's name: a stopped test goes on.
    tested_before: Callable[[str], int] | None = None

    train_set: FrameDataset
    val_set: FrameDataset
    test_set: FrameDataset

    def test_sets(self) -> "Sequence[BatchingDataModule]":
        """The data set of each test loader."""
        return [self]

    def train_dataloader(self) -> DataLoader[Sample]:
        """Batches of crops, all full unless that would leave none; shuffled, but under `trainer.overfit_batches`.

        Raises:
            ValueError: if the data set has no training frames.
        """
        if not len(self.train_set):
            raise ValueError(f"{self.name}: has no training frames, it is there to test on; train on another data set")
        order = OverfitSampler if getattr(self.trainer, "overfit_batches", 0) else TrainSampler
        sampler = order(self.train_set, seed=self.seed, **self._process())
        size = self.process_batch_size
        options = self._loader_options(size)
        return TrainLoader(sampler=sampler, drop_last=len(sampler) >= size, **options)

    @property
    def process_batch_size(self) -> int:
        """Frames that one process loads at a time in training.

        Raises:
            ValueError: if processes and accumulated batches do not divide ``batch_size``.
        """
        processes, accumulated = self._shares
        size, left = divmod(self.batch_size, processes * accumulated)
        if left or not size:
            raise ValueError(
                f"`data.init_args.batch_size` {self.batch_size} is the whole of an optimizer step, which {processes} "
                f"processes with {accumulated} accumulated batches each cannot share evenly; change `batch_size`, "
                "`trainer.devices` or `trainer.accumulate_grad_batches`"
            )
        return size

    def describe_batch(self) -> str:
        """How the frames of an optimizer step are shared; raises as :attr:`process_batch_size` does."""
        processes, accumulated = self._shares
        shares = f"{processes} process{'es' if processes > 1 else ''} x {self.process_batch_size}"
        return f"batches of {self.batch_size}: {shares}" + (f" x {accumulated} accumulated" if accumulated > 1 else "")

    @property
    def _shares(self) -> tuple[int, int]:
        """Processes, and batches that each accumulates for a step."""
        return self._process()["num_replicas"], getattr(self.trainer, "accumulate_grad_batches", 1)

    def val_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """Whole frames of the held-out scenes; no loader where none are held out."""
        return self._eval_loader(self.val_set, keep_workers=True) if len(self.val_set) else []

    def test_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """Whole test frames, each exactly once over all processes; a loader for each test set where there are more."""
        sets = self.test_sets()
        before = self.tested_before or (lambda name: 0)
        loaders = [
            data._eval_loader(data.test_set, keep_workers=len(sets) == 1, start=before(data.name)) for data in sets
        ]
        return loaders if len(loaders) > 1 else loaders[0]

    def predict_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """The test frames."""
        return self.test_dataloader()

    def _eval_loader(self, dataset: FrameDataset, *, keep_workers: bool = False, start: int = 0) -> DataLoader[Sample]:
        """Loader of whole frames; unless workers are kept, they end with each pass, as those of many test sets do."""
        process = self._process()
        if len(dataset) < process["num_replicas"]:
            # A process without a batch would skip the metrics' reduction, for which the others wait forever.
            raise ValueError(
                f"{self.name}: {process['num_replicas']} processes cannot share {len(dataset)} frames to evaluate; "
                "lower `trainer.devices`, or hold out more scenes (`data.init_args.val_scenes`)"
            )
        return DataLoader(
            dataset,
            sampler=EvalSampler(dataset, start=start, **process),
            generator=torch.Generator(),  # starting workers draws nothing from the global one, which is the network's
            **self._loader_options(self.eval_batch_size, keep_workers=keep_workers),
        )

    def _loader_options(self, batch_size: int, *, keep_workers: bool = True) -> dict[str, Any]:
        workers = self.num_workers
        if workers is None:
            workers = min(8, suggested_max_num_workers(getattr(self.trainer, "num_devices", 1)))
        return {
            "batch_size": batch_size,
            "num_workers": workers,
            "collate_fn": collate,
            "pin_memory": torch.cuda.is_available(),
            "worker_init_fn": prepare_worker,
            "persistent_workers": keep_workers and workers > 0,
        }

    def _process(self) -> dict[str, int]:
        """World size and rank, as samplers name them."""
        if self.trainer is None:
            return {"num_replicas": 1, "rank": 0}
        return {"num_replicas": self.trainer.world_size, "rank": self.trainer.global_rank}
