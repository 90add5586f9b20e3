"""The two checkpoints of a run: the best by a validation figure, and the last, whatever happened."""

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from callbacks.run_logger import RunLogger


class RunCheckpoint(ModelCheckpoint):
    """One file, ``checkpoints/<filename>.ckpt`` in the run folder, replaced atomically.

    Args:
        filename: stem of the file.
        monitor: logged figure that decides whether to replace; None always does.
        mode: ``min`` or ``max``.
        save_on_train_epoch_end: after every epoch; None waits for validation.
    """

    def __init__(
        self,
        filename: str,
        monitor: str | None = None,
        mode: str = "min",
        *,
        save_on_train_epoch_end: bool | None = None,
    ):
        super().__init__(
            filename=filename, monitor=monitor, mode=mode, save_top_k=1, auto_insert_metric_name=False,
            enable_version_counter=False, save_on_train_epoch_end=save_on_train_epoch_end,
        )  # fmt: skip

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Point to the run folder, which the trainer's ``default_root_dir`` is."""
        self.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
        super().setup(trainer, pl_module, stage)


class BestCheckpoint(RunCheckpoint):
    """``best.ckpt``, by a validation figure; where nothing is held out for validation, the last epoch's.

    Args:
        monitor: logged figure.
        mode: ``min`` or ``max``.
    """

    def __init__(self, monitor: str = "val/abs_rel", mode: str = "min"):
        super().__init__("best", monitor, mode)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fall back to the last epoch without validation; tell W&B what best means."""
        super().on_train_start(trainer, pl_module)
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        # Lightning fills its own count of validation batches only when the first validation begins
        if not trainer.enable_validation or (datamodule is not None and not len(datamodule.val_dataloader())):
            rank_zero_info(
                "nothing is held out for validation (`data.init_args.val_scenes`): best.ckpt is the last epoch's"
            )
            self.monitor = None
        elif isinstance(trainer.logger, RunLogger) and self.monitor is not None:
            trainer.logger.define_best(self.monitor, self.mode)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the end of a training that was too short to be validated."""
        super().on_train_end(trainer, pl_module)
        if not self.best_model_path and not getattr(trainer, "fast_dev_run", False):
            self.best_model_path = str(Path(str(self.dirpath)) / f"{self.filename}.ckpt")
            trainer.save_checkpoint(self.best_model_path)


class LastCheckpoint(RunCheckpoint):
    """``last.ckpt``, after every epoch and when training is interrupted by Ctrl-C or an error."""

    def __init__(self) -> None:
        super().__init__("last", save_on_train_epoch_end=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save where training stands; nothing is saved before the first step."""
        fitting = trainer.state.fn == TrainerFn.FITTING  # also while validating
        if fitting and trainer.global_step > 0 and not getattr(trainer, "fast_dev_run", False):
            path = Path(str(self.dirpath)) / f"{self.filename}.ckpt"
            trainer.save_checkpoint(path)
            rank_zero_info(f"interrupted: {path} is left; go on with the same command and `--ckpt_path last`")
