"""What callbacks need of Lightning that Lightning does not promise to keep: every use is here, with its reason.

``tests/callbacks/test_lightning_internals.py`` fails, and names Lightning's version, when one of them has changed.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from lightning.fabric.plugins.collectives.torch_collective import default_pg_timeout
from lightning.pytorch import Trainer
from torch import Tensor


def datamodule_of(trainer: Trainer) -> Any:
    """Return the data module of the command that runs, None without one.

    Lightning sets ``trainer.datamodule`` when a command begins, without declaring it.
    """
    return getattr(trainer, "datamodule", None)


def is_fast_dev_run(trainer: Trainer) -> bool:
    """Return whether only a few batches are run, as a check; ``trainer.fast_dev_run`` is not declared."""
    return bool(getattr(trainer, "fast_dev_run", False))


def log_interval(trainer: Trainer) -> int:
    """Return the number of steps between two logged ones, 0 for none; ``log_every_n_steps`` is not declared."""
    return getattr(trainer, "log_every_n_steps", 0)


def loader_of(loaders: Any, dataloader_idx: int) -> Any:
    """Return one of ``trainer.test_dataloaders`` or ``val_dataloaders``, which are a list or a single loader."""
    return loaders[dataloader_idx] if isinstance(loaders, list | tuple) else loaders


def can_resume_here(trainer: Trainer) -> bool:
    """Return whether a training that is resumed from a checkpoint saved now equals one that was not interrupted.

    To be asked at the end of a training batch. Lightning cannot resume without a difference while gradients accumulate,
    or where a validation or the end of the epoch comes next; only its loop knows whether one does.
    """
    loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
    assert fetcher is not None
    return not (loop._should_accumulate() or loop._is_training_done or loop._should_check_val_fx(fetcher))


@dataclass(frozen=True)
class FitPosition:
    """Where in training a checkpoint was saved, read from the states of Lightning's loops in it.

    Attributes:
        epoch: 0-based number of the epoch that is trained next, or in part.
        batch: number of its batches that are trained.
        within_epoch: whether it was saved between two batches of an epoch, not after its last one.
        loader_states: states of the training loaders.
    """

    epoch: int
    batch: int
    within_epoch: bool
    loader_states: list[dict[str, Any]]

    @classmethod
    def of(cls, checkpoint: dict[str, Any]) -> "FitPosition":
        """Read the position from a checkpoint of a training."""
        loop = checkpoint["loops"]["fit_loop"]
        epochs = loop["epoch_progress"]["current"]
        within = bool(epochs["processed"] < epochs["ready"])
        batch = loop["epoch_loop.batch_progress"]["current"]["processed"] if within else 0
        return cls(epochs["processed"], batch, within, loop["state_dict"].get("combined_loader", []))


def mark_epoch_completed(checkpoint: dict[str, Any]) -> None:
    """Count the last epoch of a checkpoint as completed.

    Callbacks save at the end of an epoch, before Lightning counts it; a resumed training would train it once more.
    """
    for count in checkpoint["loops"]["fit_loop"]["epoch_progress"].values():
        count["completed"] = count["processed"]


def begin_next_epoch(trainer: Trainer) -> None:
    """Begin a resumed training with a new epoch: with ``max_steps``, Lightning restarts the one that is over."""
    trainer.fit_loop._restarting = trainer.fit_loop.epoch_loop.restarting = False
    trainer.fit_loop.reset_restart_stage()
    trainer.fit_loop.epoch_loop.reset_restart_stage()


def load_loader_states(trainer: Trainer, states: list[dict[str, Any]]) -> None:
    """Set the training loaders to their place in the epoch, and start them there.

    Lightning does so only where the schedule did not ask for the length of the loaders, which starts them.
    """
    loop = trainer.fit_loop
    assert loop._combined_loader is not None
    assert loop._data_fetcher is not None
    loop._combined_loader._load_state_dicts(states)
    iter(loop._data_fetcher)


def epoch_sums(trainer: Trainer) -> dict[str, list[Tensor]]:
    """Return value and number of frames behind each logged mean of the epoch so far, of this process.

    They are in no checkpoint of Lightning's, whose means of a resumed epoch are of the rest of it alone.
    """
    return {
        key: [result.value.detach().clone(), getattr(result, "cumulated_batch_size", torch.tensor(0)).clone()]
        for key, result in trainer.fit_loop.epoch_loop._results.items()
        if result.is_tensor and result.meta.on_epoch
    }


def add_epoch_sums(trainer: Trainer, earlier: dict[str, list[Tensor]]) -> None:
    """Add :func:`epoch_sums` of the epoch's earlier batches to what has been logged since, where it has been."""
    results = trainer.fit_loop.epoch_loop._results
    for key, sums in earlier.items():
        if key in results:
            _add(results[key], sums)


def _add(result: Any, sums: list[Tensor]) -> None:
    value, count = (part.to(result.value.device) for part in sums)
    if result.meta.is_mean_reduction:
        result.value = value + result.value  # earlier ones first: sums in floating point depend on the order
        result.cumulated_batch_size = count + result.cumulated_batch_size
    elif result.meta.is_sum_reduction:
        result.value = value + result.value
    else:
        result.value = result.meta.reduce_fx(value, result.value)


def bound_collectives(trainer: Trainer, timeout: timedelta) -> None:
    """Set the time that processes wait for each other, unless the strategy was configured with its own.

    To be called before they are connected. A strategy that was made by its name has no other way to be told.
    """
    strategy: Any = trainer.strategy
    if getattr(strategy, "_timeout", None) == default_pg_timeout:
        strategy._timeout = timeout


def kill_started_processes(trainer: Trainer, number: int) -> None:
    """Send a signal to those processes of the run that this one has started; only their launcher knows them."""
    launcher: Any = trainer.strategy.launcher
    if hasattr(launcher, "kill"):
        launcher.kill(number)
