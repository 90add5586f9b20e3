"""The states that Lightning's checkpoints lack for a resumed training to equal one that was never interrupted."""

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_warn

from callbacks.lightning_internals import (
    FitPosition,
    add_epoch_sums,
    begin_next_epoch,
    epoch_sums,
    load_loader_states,
    mark_epoch_completed,
)
from callbacks.records.all_processes import gather_objects

KEY = "exact_resume"


class ExactResume(Callback):
    """Save and restore every process's random numbers and the sums behind the epoch's means.

    Weights, optimizer, schedule and progress are Lightning's; order and augmentation depend on seed, epoch and frame
    alone (:mod:`datamodules.loading.samplers`, :mod:`datamodules.frames`), and
    :class:`~datamodules.loading.train_loader.TrainLoader` knows its place in the epoch. On the same number of processes
    the rest of the training is then the same, bit by bit where the kernels are deterministic.
    """

    def __init__(self) -> None:
        self._random: dict[str, Any] | None = None
        self._sums: dict[str, list[torch.Tensor]] = {}
        self._position: FitPosition | None = None
        self._step = 0

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the state of every process."""
        within = FitPosition.of(checkpoint).within_epoch
        checkpoint[KEY] = gather_objects({"random": random_state(), "sums": epoch_sums(trainer) if within else {}})

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep this process's state until training starts."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        self._position, self._step = FitPosition.of(checkpoint), checkpoint["global_step"]
        if not self._position.within_epoch:
            mark_epoch_completed(checkpoint)
        states = checkpoint.get(KEY, [])
        if len(states) == trainer.world_size:
            state = states[trainer.global_rank]
            self._random, self._sums = state["random"], state["sums"]
        else:
            rank_zero_warn(
                f"the checkpoint is of {len(states)} processes, not {trainer.world_size}: what follows is as good, but "
                "not the same as without the interruption (dropout)"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore loaders and random numbers, after all that was set up has drawn its own."""
        if (position := self._position) is not None:
            rank_zero_info(
                f"resumed at epoch {position.epoch}, batch {position.batch}, step {self._step} ({trainer.ckpt_path})"
            )
            if not position.within_epoch:
                begin_next_epoch(trainer)
            if position.loader_states:
                load_loader_states(trainer, position.loader_states)
        if self._random is not None:
            restore_random_state(self._random)
        self._position, self._random = None, None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add, after the first batch, the sums over the epoch's batches from before the interruption."""
        if self._sums:
            add_epoch_sums(trainer, self._sums)
            self._sums = {}


def random_state() -> dict[str, Any]:
    """Return the state of all global random generators of this process, as tensors and plain values."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
        "numpy": [name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        "python": random.getstate(),
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Set all global random generators of this process to an earlier :func:`random_state`."""
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
