"""``best.ckpt``: the weights that are tested."""

import shutil
from copy import copy
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_only, rank_zero_warn

from callbacks.lightning_internals import datamodule_of, is_fast_dev_run
from callbacks.records.run_logger import RunLogger
from callbacks.records.this_run import ThisRun
from datamodules.files import written_atomically

#: Attributes in which Lightning's callback keeps its choice.
CHOICE = (
    "best_model_path", "best_model_score", "kth_best_model_path", "kth_value", "best_k_models", "current_score",
)  # fmt: skip


class BestCheckpoint(ModelCheckpoint):
    """Save ``checkpoints/best.ckpt``: the weights of the epoch with the best value of a validation metric.

    Where nothing is held out for validation, it holds the last epoch's. A resumed training compares with the best so
    far, also where its run folder was moved; one that is resumed from another run's checkpoint begins with a copy of
    that run's best.

    Args:
        monitor: name of the logged metric; None takes the method's ``selected_by``.
        mode: ``min`` or ``max``.
        this_run: the run, as the command line tells it; a metric that it monitors, the lowest of which is the best,
            goes before ``monitor``.
    """

    def __init__(self, monitor: str | None = None, mode: str = "min", this_run: ThisRun | None = None):
        if this_run is not None and this_run.monitor is not None:
            monitor, mode = this_run.monitor, "min"
        super().__init__(
            filename="best", monitor=monitor, mode=mode, save_top_k=1, auto_insert_metric_name=False,
            enable_version_counter=False,
        )  # fmt: skip
        self._nothing_chosen = {name: copy(getattr(self, name)) for name in CHOICE}

    def start_anew(self) -> None:
        """Forget the best so far: another stage of training follows, whose metrics do not compare."""
        for name, value in self._nothing_chosen.items():
            setattr(self, name, copy(value))

    @property
    def state_key(self) -> str:
        """Return the key of the callback in checkpoints, the same with and without validation."""
        return type(self).__qualname__

    @property
    def path(self) -> Path:
        """Return the path of ``best.ckpt``."""
        return Path(str(self.dirpath)) / f"{self.filename}.ckpt"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Set the folder, in the run folder, and the metric."""
        self.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
        self.monitor = self.monitor or getattr(pl_module, "selected_by", None)
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best so far, wherever its folder was."""
        origin = state_dict["best_model_path"]
        if not origin or state_dict["monitor"] not in (self.monitor, None):
            return
        if not self.path.exists() and Path(origin).exists():
            _copy(Path(origin), self.path)
        if not (self.path.exists() or Path(origin).exists()):
            rank_zero_warn(f"{origin}, the best checkpoint so far, is gone: the best is chosen anew")
            return
        mine = str(self.path)
        moved = {
            "dirpath": self.dirpath,
            "best_model_path": mine,
            "kth_best_model_path": mine if state_dict["best_k_models"] else "",
            "best_k_models": dict.fromkeys([mine] * len(state_dict["best_k_models"]), state_dict["best_model_score"]),
            "last_model_path": "",
        }
        super().load_state_dict({**state_dict, **moved})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the last epoch where there is no validation; name the metric to W&B where there is."""
        super().on_train_start(trainer, pl_module)
        datamodule = datamodule_of(trainer)
        # Lightning fills its own count of validation batches only when the first validation begins
        if not trainer.enable_validation or (datamodule is not None and not len(datamodule.val_dataloader())):
            rank_zero_info(
                "nothing is held out for validation (`data.init_args.val_scenes`): best.ckpt is the last epoch's"
            )
            self.monitor = None
        elif isinstance(trainer.logger, RunLogger) and self.monitor is not None:
            trainer.logger.define_best(self.monitor, self.mode)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end of a training that was too short to be validated."""
        super().on_train_end(trainer, pl_module)
        self._save_if_none(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end of a training that was over when it was resumed: ``on_train_end`` is not called then."""
        self._save_if_none(trainer)

    def _save_if_none(self, trainer: Trainer) -> None:
        if not self.best_model_path and not is_fast_dev_run(trainer):
            self.best_model_path = str(self.path)
            trainer.save_checkpoint(self.path, weights_only=False)


@rank_zero_only
def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as whole, written_atomically(target, "make room") as file:
        shutil.copyfileobj(whole, file, 2**20)
