"""The report on a training that stopped at a number that is not finite."""

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_only, rank_zero_warn

from callbacks.checkpoints.checkpoint_io import AtomicCheckpointIO, CheckpointError

NAME = "nonfinite.pt"


class NonFiniteReport(Callback):
    """Write the report of a :class:`~lightning_modules.training.nonfinite.NonFiniteError` into the run folder."""

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write this process's report, ``nonfinite.pt`` or ``nonfinite-<rank>.pt``: the batch may be any process's."""
        report = getattr(exception, "report", None)
        if report is None:
            return
        folder = Path(trainer.default_root_dir)
        rank = int(getattr(rank_zero_only, "rank", 0))
        name = NAME if rank == 0 else NAME.replace(".pt", f"-{rank}.pt")
        content = {"epoch": trainer.current_epoch, "rank": rank, **report}
        try:
            AtomicCheckpointIO().save_checkpoint(content, folder / name)
        except CheckpointError as error:  # the error that is reported matters more
            rank_zero_warn(str(error))
