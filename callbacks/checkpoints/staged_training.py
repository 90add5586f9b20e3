"""Training in stages, in one run: one loop over all epochs, in which a callback enters one stage after the other."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from callbacks.checkpoints.best_checkpoint import BestCheckpoint
from callbacks.checkpoints.checkpoint_io import load_checked
from callbacks.lightning_internals import is_fast_dev_run


class StagedTraining(Callback):
    """Train a method that has ``stages`` in one stage after the other; do nothing for any other method.

    A stage is a number of whole epochs. When one begins, the parts that it does not train are frozen, optimizer and
    schedule are built anew, and the best checkpoint is chosen among its own epochs: ``best.ckpt`` is the last stage's.
    When one ends, ``checkpoints/stage_<n>_<name>.ckpt`` is saved. A checkpoint holds the number of its stage, so that
    an interrupted training is resumed in it, with its optimizer.

    The method is a :class:`lightning_modules.stages.StagedModule`: it has ``stages``, the present ``stage`` and its
    ``stage_number``, ``enter_stage`` and ``network``; its ``configure_optimizers`` is for the present stage.
    """

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Check the stages, enter the first one, and set the number of epochs to that of all stages.

        Raises:
            ValueError: if the trainer has another number of epochs, or a stage begins from a missing checkpoint.
        """
        if stage != TrainerFn.FITTING or not _is_staged(pl_module):
            return
        epochs = sum(part.epochs for part in pl_module.stages)
        if not is_fast_dev_run(trainer):
            if trainer.max_steps != -1 or trainer.max_epochs not in (-1, epochs):
                raise ValueError(
                    f"the stages last {epochs} epochs: leave `trainer.max_epochs` at -1 and `trainer.max_steps` unset, "
                    "and change lengths by `model.init_args.stage_epochs`"
                )
            trainer.fit_loop.max_epochs = epochs
        for part in pl_module.stages:
            if part.init_from is not None:
                checkpoint_of(part.init_from, part.name)
        pl_module.enter_stage(0)

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Load the weights that the first stage begins from."""
        if _is_staged(pl_module) and trainer.ckpt_path is None:
            take_weights(pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Enter the stage that the epoch belongs to.

        Raises:
            ValueError: if training is resumed from a checkpoint of a later stage.
        """
        if not _is_staged(pl_module):
            return
        number = stage_of_epoch(pl_module.stages, trainer.current_epoch)
        if number < pl_module.stage_number:
            raise ValueError(
                f"epoch {trainer.current_epoch} belongs to stage `{pl_module.stages[number].name}`, but the checkpoint "
                f"is of `{pl_module.stage.name}`: the stages had other lengths then; set the same"
            )
        if number > pl_module.stage_number:
            self._go_to(number, trainer, pl_module)
            _renew_strategy(trainer, pl_module)
        pl_module.log("train/stage", float(pl_module.stage_number), on_step=False, on_epoch=True, batch_size=1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Save a checkpoint of a stage that is over."""
        if not _is_staged(pl_module) or is_fast_dev_run(trainer):
            return
        number = pl_module.stage_number
        if trainer.current_epoch + 1 == sum(stage.epochs for stage in pl_module.stages[: number + 1]):
            trainer.save_checkpoint(stage_checkpoint(trainer, number, pl_module.stage.name), weights_only=False)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Enter the stages without epochs that end the list."""
        self._finish(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Enter them after a training that was over when it was resumed: ``on_train_end`` is not called then."""
        self._finish(trainer, pl_module)

    def _finish(self, trainer: Trainer, pl_module: Any) -> None:
        done = trainer.current_epoch >= (trainer.max_epochs or 0) and not is_fast_dev_run(trainer)
        if _is_staged(pl_module) and done and pl_module.stage_number < len(pl_module.stages) - 1:
            self._go_to(len(pl_module.stages) - 1, trainer, pl_module)

    def _go_to(self, number: int, trainer: Trainer, pl_module: Any) -> None:
        """Enter the next stages up to a number, each with the weights that it begins from."""
        while pl_module.stage_number < number:
            pl_module.enter_stage(pl_module.stage_number + 1)
            take_weights(pl_module)
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, BestCheckpoint):
                callback.start_anew()
        stage = pl_module.stage
        trained = ", ".join(stage.trains) if stage.epochs else "nothing"
        rank_zero_info(f"stage {number} `{stage.name}`: {stage.epochs} epochs, trains {trained}")


def _is_staged(pl_module: Any) -> bool:
    return bool(getattr(pl_module, "stages", ()))


def stage_of_epoch(stages: Any, epoch: int) -> int:
    """Return the position of the stage that an epoch belongs to."""
    over = 0
    for number, stage in enumerate(stages):
        over += stage.epochs
        if epoch < over:
            return number
    return len(stages) - 1


def stage_checkpoint(trainer: Trainer, number: int, name: str) -> Path:
    """Return the path of the checkpoint at the end of a stage."""
    return Path(trainer.default_root_dir) / "checkpoints" / f"stage_{number}_{name}.ckpt"


def checkpoint_of(source: str, stage: str) -> Path:
    """Return the path of a checkpoint that a stage begins from.

    Args:
        source: the checkpoint, or a run folder, whose ``best.ckpt`` is taken.
        stage: name of the stage, for the message.

    Raises:
        ValueError: if it is not there.
    """
    path = Path(source).expanduser()
    path = path / "checkpoints" / "best.ckpt" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"stage `{stage}` begins from {path}, which is not there; name a run folder or a checkpoint")
    return path


def take_weights(pl_module: Any) -> None:
    """Load the weights of the parts that the present stage trains, where its ``init_from`` names a checkpoint.

    Raises:
        ValueError: if the checkpoint has other parts, or parts of other shapes.
    """
    stage = pl_module.stage
    if stage.init_from is None:
        return
    path = checkpoint_of(stage.init_from, stage.name)
    content = load_checked(path)
    weights = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise ValueError(f"stage `{stage.name}` begins from {path}, which holds no `state_dict`; name another")
    for part in stage.trains:
        prefix = f"network.{part}."
        own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        try:
            getattr(pl_module.network, part).load_state_dict(own)
        except RuntimeError as error:
            reason = str(error).splitlines()[1].strip() if own else "it has none"
            raise ValueError(
                f"stage `{stage.name}` begins from {path}, whose `{part}` does not fit: {reason}"
            ) from error
    rank_zero_info(f"stage `{stage.name}`: {', '.join(stage.trains)} from {path}")


def _renew_strategy(trainer: Trainer, pl_module: Any) -> None:
    """Build optimizer and schedule for the parameters that are trained now, and wrap the module for DDP anew."""
    strategy = trainer.strategy
    if isinstance(strategy, DDPStrategy):
        strategy.model = pl_module
        strategy.configure_ddp()
    strategy.setup_optimizers(trainer)
