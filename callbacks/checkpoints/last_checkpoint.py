"""``last.ckpt``: the state of training, saved often, so that little is lost when it is interrupted."""

import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from callbacks.checkpoints.checkpoint_io import remove_partial
from callbacks.checkpoints.stop_signals import StopSignals
from callbacks.lightning_internals import can_resume_here, is_fast_dev_run

STOPPED = "should_stop"


class LastCheckpoint(Checkpoint):
    """Save ``checkpoints/last.ckpt`` after every epoch, every few minutes, and when a signal asks training to stop.

    It is only ever written between two optimizer steps, on all processes after the same one: a training that is resumed
    from it equals one that was not interrupted. SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 and the first Ctrl-C save after the
    step under way (during validation: after the epoch) and end with exit status 128 + signal; a second Ctrl-C ends at
    once. Where SLURM requeues jobs (Lightning's ``SLURMEnvironment``), the warning signal then submits the job again.

    Args:
        every_minutes: time between two checkpoints within an epoch; None saves at the epoch's end only.
        every_n_steps: optimizer steps between two checkpoints, in addition; None sets no such limit.
    """

    def __init__(self, every_minutes: float | None = 10.0, every_n_steps: int | None = None):
        self.every_minutes = every_minutes
        self.every_n_steps = every_n_steps
        self.signals = StopSignals()
        self.path = Path()
        self._began = False
        self._saved_at = 0.0
        self._saved_step = -1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Set the path in the run folder, and remove what a killed process has left half-written there."""
        self.path = Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt"
        if stage == TrainerFn.FITTING and trainer.is_global_zero:
            remove_partial(self.path.parent)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note whether training was stopped early (``EarlyStopping``)."""
        checkpoint[STOPPED] = trainer.should_stop

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Leave a training that was stopped early at its end."""
        if trainer.state.fn == TrainerFn.FITTING:
            trainer.should_stop = checkpoint.get(STOPPED, False)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the signal handlers."""
        self._began = True
        self._saved_at = time.monotonic()
        self.signals.install()
        self.signals.note_earlier(trainer)  # while the model was set up

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time or a signal asks for it, unless a validation or the epoch's end comes next."""
        if not can_resume_here(trainer):
            return
        save, received = self._agree(trainer)
        if save or received:
            self._save(trainer)
        if received:
            self._stop(trainer, received)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop for a signal that came at the end of the epoch before, whose metrics are logged by now."""
        if self._saved_step == trainer.global_step and (received := self._agree(trainer)[1]):
            self._stop(trainer, received)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, after :class:`~callbacks.BestCheckpoint`: its best score is in the file."""
        self._save(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop, before a test begins, for a signal that came in the last epoch or while its files were written."""
        received = self._agree(trainer)[1]
        self.signals.restore()
        if received:
            self._stop(trainer, received)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Say what a training that has begun can be resumed from; weights in the middle of a step are not saved."""
        self.signals.restore()
        if trainer.state.fn != TrainerFn.FITTING or not self._began or isinstance(exception, SystemExit):
            return
        interrupted = isinstance(exception, KeyboardInterrupt)
        ended = "interrupted" if interrupted else "stopped by an error"
        if self.path.is_file():
            hint = f"{self.path} is left; resume with the same command and `--ckpt_path last`"
        elif interrupted:
            hint = "before the first checkpoint; there is nothing to resume from"
        else:
            return  # the error is what there is to say
        rank_zero_info(f"{ended} at step {trainer.global_step}: {hint}")

    def _agree(self, trainer: Trainer) -> tuple[bool, int]:
        """Return whether to save, and the signal to stop for, 0 without one; the same on all processes."""
        minutes = (time.monotonic() - self._saved_at) / 60
        due = self.every_minutes is not None and minutes >= self.every_minutes
        if self.every_n_steps is not None:
            due |= trainer.global_step % self.every_n_steps == 0 and trainer.global_step != self._saved_step
        if trainer.world_size == 1:
            return due, self.signals.received
        wish = torch.tensor([int(due), self.signals.received], device=trainer.strategy.root_device)
        torch.distributed.all_reduce(wish, torch.distributed.ReduceOp.MAX)
        due, received = wish.tolist()
        return bool(due), received

    def _save(self, trainer: Trainer) -> None:
        if not is_fast_dev_run(trainer):
            trainer.save_checkpoint(self.path, weights_only=False)
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step

    def _stop(self, trainer: Trainer, received: int) -> None:
        self.signals.received = received  # by another process, perhaps
        self.signals.stop(
            f"stopped after step {trainer.global_step}; {self.path} is left; resume with the same command and "
            "`--ckpt_path last`"
        )
