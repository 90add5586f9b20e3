"""The dump of a training that stopped at a non-finite number."""

from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_only

NAME = "nonfinite.pt"


class NonFiniteReport(Callback):
    """Write what a :class:`~lightning_modules.nonfinite.NonFiniteError` reports into the run folder."""

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Every process writes its own part: the batch may have been anyone's."""
        report = getattr(exception, "report", None)
        if report is None:
            return
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        rank = int(getattr(rank_zero_only, "rank", 0))
        name = NAME if rank == 0 else NAME.replace(".pt", f"-{rank}.pt")
        torch.save({"epoch": trainer.current_epoch, "rank": rank, **report}, folder / name)
