"""The figure to beat: predicting the training set's median depth everywhere."""

from typing import Any, ClassVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from lightning_modules.metrics import DepthErrors


class ConstantBaseline(Callback):
    """Log ``test/<data set>/baseline_<metric>`` of the constant predictor, under the protocol of each data set.

    The constant is the median of the training data, on whatever it is tested. A method that predicts no depth has no
    such figure to beat, nor have data of which only the test part is there.

    Args:
        metrics: figures to log.
    """

    #: What grows with each batch of a test.
    kept_in_test: ClassVar[tuple[str, ...]] = ("errors",)

    def __init__(self, metrics: tuple[str, ...] = ("abs_rel", "rmse", "delta1")):
        self.metrics = metrics
        self.errors: dict[str, DepthErrors] = {}

    def on_test_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Ask the data for the median, which reads every training depth map once."""
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        self.errors = {}
        if not len(datamodule.splits.train):  # a set that is only tested on has no such predictor
            return
        try:
            self.median = datamodule.train_depth_median()
        except FileNotFoundError as error:
            rank_zero_warn(f"no figures of the training median: {error}")
            return
        self.names = datamodule.test_names()
        self.errors = {name: DepthErrors(pl_module.protocols[name]).to(pl_module.device) for name in self.names}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Evaluate the constant on the batch."""
        if not self.errors or outputs["prediction"].depth is None:
            return
        constant = torch.full_like(batch["depth"], self.median)
        self.errors[self.names[dataloader_idx]].update(constant, batch["depth"], batch["valid"])

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the figures, the same on every process."""
        for name, errors in self.errors.items():
            if not errors.update_called:
                continue
            figures = errors.compute()
            for metric in self.metrics:
                pl_module.log(f"test/{name}/baseline_{metric}", figures[metric].float(), sync_dist=True)
