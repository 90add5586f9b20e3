"""Signals during `test`, `validate` and `predict`: stop between two batches; a test is resumed there the next time."""

import time
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from callbacks.checkpoints.checkpoint_io import CheckpointError
from callbacks.checkpoints.stop_signals import StopSignals
from callbacks.checkpoints.test_progress import TestProgress
from callbacks.lightning_internals import datamodule_of, kill_started_processes

#: Seconds of testing after which progress is saved before the last batch, after which pictures are drawn.
WORTH_SAVING = 60.0


class ResumableTest(Callback):
    """End evaluation after the batch under way when a signal asks for it, with exit status 128 + signal.

    A test saves its progress in the run folder when it is stopped, and every few minutes; the next test of the same
    weights, data and options is resumed from it, and its metrics are those of a test that was not interrupted. This has
    to be the last of the trainer's callbacks: all others must have had the batch.

    Args:
        settings: configuration of model, data and callbacks, which has to be the same for a test to be resumed; None
            keeps nothing of a test.
        every_minutes: time between two savings; None saves only when the test is stopped.
    """

    def __init__(self, settings: Mapping[str, Any] | None = None, every_minutes: float | None = 10.0):
        self.settings = settings
        self.every_minutes = every_minutes
        self.signals = StopSignals("batch")
        self.progress: TestProgress | None = None
        self._saved_at = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let the data leave out the frames of an earlier, stopped test."""
        datamodule = datamodule_of(trainer)
        self.progress = None
        if datamodule is None or not hasattr(datamodule, "tested_before"):
            return
        datamodule.tested_before = None
        whole = isinstance(trainer.limit_test_batches, float) and trainer.limit_test_batches == 1.0
        if stage == TrainerFn.TESTING and self.settings is not None and whole:
            self.progress = TestProgress(trainer, self.settings)
            datamodule.tested_before = self._tested_before

    def _tested_before(self, name: str) -> int:
        """Return the number of a test set's frames that this process is done with; called once weights are loaded."""
        assert self.progress is not None
        if not self.progress.frames:
            self.progress.load()
        return self.progress.frames.get(name, 0)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the signal handlers, and resume an earlier test."""
        self._start(trainer)
        if self.progress is not None and self.progress.restore(pl_module):
            done = sum(self.progress.frames.values())
            rank_zero_info(f"the test is resumed after {done} frames ({self.progress.path})")

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Save before the last batch: after it, processes wait for each other, and pictures are drawn."""
        batches: Any = trainer.num_test_batches
        last = dataloader_idx == max(i for i, count in enumerate(batches) if count) and (
            batch_idx == batches[dataloader_idx] - 1
        )
        long = time.monotonic() - self._saved_at > WORTH_SAVING
        if (
            last
            and self.progress is not None
            and any(self.progress.frames.values())
            and (long or self._shared(trainer))
        ):
            self._save(pl_module)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the frames, save if it is time, and stop if a signal asks for it and there is more to do."""
        if self.progress is not None:
            frames, name = self.progress.frames, datamodule_of(trainer).test_names()[dataloader_idx]
            frames[name] = frames.get(name, 0) + len(batch["index"])
        batches: Any = trainer.num_test_batches
        if batch_idx == batches[dataloader_idx] - 1 and not any(batches[dataloader_idx + 1 :]):
            return  # metrics are computed next
        minutes = (time.monotonic() - self._saved_at) / 60
        if self.signals.received:
            self._stop_test(trainer, pl_module)
        elif self.progress is not None and self.every_minutes is not None and minutes >= self.every_minutes:
            self._save(pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the progress, and stop for a signal that came in the last batch or while metrics were written."""
        if self.progress is not None:
            self.progress.remove()
        self._end("the test was over, and its metrics are written")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the signal handlers in `validate`; in training they are :class:`LastCheckpoint`'s."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._start(trainer)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop `validate` after the batch if a signal asks for it."""
        if trainer.state.fn == TrainerFn.VALIDATING and self.signals.received:
            self._stop(trainer, "stopped; validation keeps nothing, give the command again")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the signal handlers from before `validate`."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._end("validation was over")

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the signal handlers."""
        self._start(trainer)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop `predict` after the batch if a signal asks for it."""
        if self.signals.received:
            self._stop(trainer, f"stopped; what was predicted so far is in {trainer.default_root_dir}")

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the signal handlers."""
        self._end("all predictions are written")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the signal handlers."""
        self.signals.restore()

    def _start(self, trainer: Trainer) -> None:
        self._saved_at = time.monotonic()
        self.signals.received = 0
        self.signals.install()
        self.signals.note_earlier(trainer)

    def _end(self, left: str) -> None:
        self.signals.restore()
        if self.signals.received:
            self.signals.stop(left)

    def _stop_test(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.progress is None or not any(self.progress.frames.values()):
            self._stop(trainer, "stopped; nothing of the test is kept")
        assert self.progress is not None
        self._save(pl_module)
        done = sum(self.progress.frames.values())
        each = " of each process" if self._shared(trainer) else ""
        path = self.progress.path
        self._stop(
            trainer,
            f"stopped after {done} test frames{each}; {path} keeps them, and the next `test` of the same checkpoint, "
            f"data and options is resumed there (`segdepth test --config {path.parent / 'config.yaml'} "
            "--ckpt_path best`)",
        )

    def _stop(self, trainer: Trainer, left: str) -> None:
        kill_started_processes(trainer, self.signals.received)
        self.signals.stop(left)

    def _save(self, pl_module: LightningModule) -> None:
        assert self.progress is not None
        try:
            self.progress.save(pl_module)
        except CheckpointError as error:
            rank_zero_info(f"{error.args[0]}; the test itself continues")
        self._saved_at = time.monotonic()

    @staticmethod
    def _shared(trainer: Trainer) -> bool:
        return trainer.world_size > 1
