"""The baseline that every method must beat: the training set's median depth, predicted everywhere."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from callbacks.lightning_internals import datamodule_of
from callbacks.records.metric_states import metric_states, restore_metrics
from lightning_modules.metrics import DepthErrors


class ConstantBaseline(Callback):
    """Log ``test/<data set>/baseline_<metric>`` of the constant predictor, under the protocol of each data set.

    The constant is the median of the training data, whatever data set is tested on. Nothing is logged for a method that
    predicts no depth, and for data of which only the test part is there.

    Args:
        metrics: names of depth errors to log.
    """

    def __init__(self, metrics: tuple[str, ...] = ("abs_rel", "rmse", "delta1")):
        self.metrics = metrics
        self.errors: dict[str, DepthErrors] = {}

    def on_test_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Ask the data for the median, which reads every training depth map once."""
        datamodule = datamodule_of(trainer)
        self.errors = {}
        if not len(datamodule.splits.train):  # a set that is only tested on has no such predictor
            return
        try:
            self.median = datamodule.train_depth_median()
        except FileNotFoundError as error:
            rank_zero_warn(f"no constant baseline: {error}")
            return
        self.names = datamodule.test_names()
        self.errors = {name: DepthErrors(pl_module.protocols[name]).to(pl_module.device) for name in self.names}

    def test_state(self) -> dict[str, Any]:
        """Return the sums so far, see :class:`~callbacks.checkpoints.test_progress.HasTestState`."""
        return metric_states(self.errors)

    def load_test_state(self, state: Mapping[str, Any]) -> None:
        """Take up the sums of a test that was stopped."""
        restore_metrics(self.errors, dict(state))

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the errors of the constant on the batch."""
        if not self.errors or outputs["prediction"].depth is None:
            return
        errors, prepared, protocol = self.errors[self.names[dataloader_idx]], outputs["prepared"], outputs["protocol"]
        if outputs["prediction"].covered is None and protocol.alignment == "none":
            errors.update_prepared(protocol.constant(prepared, self.median))
        else:  # the constant covers all pixels
            constant = torch.full_like(batch["depth"], self.median)
            errors.update(constant, batch["depth"], batch["valid"])

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the errors, the same on every process."""
        for name, errors in self.errors.items():
            if not errors.update_called:
                continue
            values = errors.compute()
            for metric in self.metrics:
                pl_module.log(f"test/{name}/baseline_{metric}", values[metric].float(), sync_dist=True)
