"""What Lightning's checkpoints lack for a resumed training to equal one that was never interrupted."""

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_warn

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
        self._loaders: list[dict[str, Any]] = []
        self._where = ""
        self._epoch_is_over = False

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the state of every process."""
        within = _is_within_epoch(checkpoint["loops"]["fit_loop"])
        mine = {"random": random_state(), "sums": epoch_sums(trainer) if within else {}}
        states = [mine]
        if trainer.world_size > 1:
            states = [mine] * trainer.world_size
            torch.distributed.all_gather_object(states, mine)
        checkpoint[KEY] = states

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take this process's state, where training goes on."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        loop = checkpoint["loops"]["fit_loop"]
        epoch = loop["epoch_progress"]["current"]["processed"]
        self._epoch_is_over = not _is_within_epoch(loop)
        batch = 0 if self._epoch_is_over else loop["epoch_loop.batch_progress"]["current"]["processed"]
        if self._epoch_is_over:
            for count in loop["epoch_progress"].values():
                count["completed"] = count["processed"]
        self._where = f"going on at epoch {epoch}, batch {batch}, step {checkpoint['global_step']}"
        self._loaders = loop["state_dict"].get("combined_loader", [])
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
        """Go on with the random numbers, after all that was set up has drawn its own."""
        if self._where:
            rank_zero_info(f"{self._where} ({trainer.ckpt_path})")
        if self._epoch_is_over:
            # With `max_steps`, Lightning would restart the epoch that is over
            trainer.fit_loop._restarting = trainer.fit_loop.epoch_loop.restarting = False
            trainer.fit_loop.reset_restart_stage()
            trainer.fit_loop.epoch_loop.reset_restart_stage()
            self._epoch_is_over = False
        if self._loaders:
            # Lightning restores loaders only where the schedule did not ask for their length, which starts them
            loop = trainer.fit_loop
            assert loop._combined_loader is not None
            assert loop._data_fetcher is not None
            loop._combined_loader._load_state_dicts(self._loaders)
            iter(loop._data_fetcher)
        if self._random is not None:
            restore_random_state(self._random)
        self._where, self._random, self._loaders = "", None, []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After the first batch, add what the epoch's batches before the interruption had summed up."""
        if self._sums:
            results = trainer.fit_loop.epoch_loop._results
            for key, sums in self._sums.items():
                if key in results:
                    add_sums(results[key], sums)
            self._sums = {}


def _is_within_epoch(fit_loop: dict[str, Any]) -> bool:
    progress = fit_loop["epoch_progress"]["current"]
    return bool(progress["processed"] < progress["ready"])


def random_state() -> dict[str, Any]:
    """State of all global generators of this process, as tensors and plain values."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
        "numpy": [name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        "python": random.getstate(),
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Undo what was drawn since :func:`random_state`."""
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))


def epoch_sums(trainer: Trainer) -> dict[str, list[torch.Tensor]]:
    """Value and number of frames behind each figure of the epoch so far, of this process."""
    return {
        key: [result.value.detach().clone(), getattr(result, "cumulated_batch_size", torch.tensor(0)).clone()]
        for key, result in trainer.fit_loop.epoch_loop._results.items()
        if result.is_tensor and result.meta.on_epoch
    }


def add_sums(result: Any, sums: list[torch.Tensor]) -> None:
    """Add the sums of earlier batches to a figure that is a mean or a sum over the epoch."""
    value, count = (part.to(result.value.device) for part in sums)
    if result.meta.is_mean_reduction:
        # Earlier ones first: floating-point sums depend on the order
        result.value = value + result.value
        result.cumulated_batch_size = count + result.cumulated_batch_size
    elif result.meta.is_sum_reduction:
        result.value = value + result.value
    else:
        result.value = result.meta.reduce_fx(value, result.value)
