"""The loader of training batches, which can be resumed in the middle of an epoch."""

from collections.abc import Iterator
from typing import Any

from torch import Generator
from torch.utils.data import DataLoader

from datamodules.frames import derive_seed
from datamodules.loading.samplers import TrainSampler


class TrainLoader(DataLoader[Any]):
    """A :class:`~torch.utils.data.DataLoader` over a :class:`TrainSampler` that knows how far its epoch has come.

    Lightning saves :meth:`state_dict` in every checkpoint. What is counted are batches that were handed out, not those
    that workers have prefetched. Batches of before the interruption are skipped in the sampler: none of their frames is
    read.

    Workers are seeded by (seed, epoch, rank), from a generator of the loader's own: starting them draws nothing from
    the global one, whose numbers are the network's alone (dropout).

    Args:
        sampler: order of the frames.
        options: of :class:`~torch.utils.data.DataLoader`; ``batch_size`` is a must.
    """

    sampler: TrainSampler
    _start = 0  # batches to leave out of the next pass

    def __init__(self, *, sampler: TrainSampler, **options: Any):
        super().__init__(sampler.dataset, sampler=sampler, generator=Generator(), **options)
        self.handed_out = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # DataLoader promises its own class of iterators
        # The epoch's start holds for one pass: the next one begins at its first frame.
        self.handed_out, self._start = self._start, 0
        self.sampler.start = self.handed_out * int(self.batch_size or 1)
        assert self.generator is not None
        self.generator.manual_seed(derive_seed(self.sampler.seed, self.sampler.epoch, self.sampler.rank))
        return self._counted(super().__iter__())

    def _counted(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            self.handed_out += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the epoch, how many of its batches were handed out, and what a batch is."""
        return {
            "epoch": self.sampler.epoch,
            "batches": self.handed_out,
            "batch_size": int(self.batch_size or 1),
            "processes": self.sampler.num_replicas,
            "frames": len(self.sampler.dataset),  # type: ignore[arg-type]
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore a state: the next pass begins at the batch at which it was taken.

        Raises:
            ValueError: if the state is from the middle of an epoch with other frames, processes or batch size: which
                frames are left cannot be known.
        """
        if state["batches"] >= len(self):  # the epoch was over
            self.sampler.set_epoch(state["epoch"] + 1)
            return
        mine = self.state_dict()
        for key in ("frames", "processes", "batch_size"):
            if state["batches"] and mine[key] != state[key]:
                raise ValueError(
                    f"the checkpoint is from the middle of an epoch with {key.replace('_', ' ')} {state[key]}, now "
                    f"{mine[key]}: resume with the same, or from a checkpoint of an epoch's end (`--ckpt_path best`)"
                )
        self.sampler.set_epoch(state["epoch"])
        self._start = state["batches"]
