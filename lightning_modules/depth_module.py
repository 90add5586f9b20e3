"""The one training and evaluation loop that every method shares."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_modules.evaluation import Evaluation, EvaluationOptions
from lightning_modules.losses import SILogLoss
from lightning_modules.metrics import DepthErrors, EvalProtocol
from lightning_modules.nonfinite import NonFiniteGuard
from lightning_modules.prediction import Prediction
from lightning_modules.schedules import Schedule

Batch = dict[str, Any]


class DepthModule(LightningModule, ABC):
    """Train on one loss, evaluate under one protocol, whatever the method.

    A method sets ``self.network``, says in ``requires`` which keys of a :class:`~datamodules.sample.Sample` it reads,
    and turns a batch into a :class:`Prediction`. A method with more than a depth loss extends :meth:`losses`.

    Logged: ``train/loss`` and its terms, ``val/<metric>`` of the per-pixel depth errors, and
    ``test/<data set>/<metric>`` of all that data and method allow.

    Args:
        protocol: how predictions are compared with the truth.
        evaluation: what is measured in `test`.
        depth_loss: module of (prediction, truth, valid), each (B, 1, H, W), to a scalar.
        optimizer: builds the optimizer from the parameters.
        schedule: learning rate over training.
        nonfinite: what to do with a step whose gradient is not finite: ``stop`` training, or ``skip`` the step and
            count it in `train/nonfinite_batches`.
        compile: run the network through `torch.compile`; the first batch of each shape then takes a minute or two.
        channels_last: keep convolutions' weights, and so their maps, in channels-last order.
    """

    #: Keys of a sample that the method reads besides ``image``, ``depth`` and ``valid``.
    requires: ClassVar[frozenset[str]] = frozenset()

    #: The method's network; its ``backbone`` says how images are normalised.
    network: Any

    def __init__(
        self,
        *,
        protocol: EvalProtocol,
        evaluation: EvaluationOptions | None = None,
        depth_loss: nn.Module | None = None,
        optimizer: OptimizerCallable = torch.optim.Adam,
        schedule: Schedule | None = None,
        nonfinite: Literal["stop", "skip"] = "stop",
        compile: bool = False,
        channels_last: bool = False,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.protocol = protocol
        self.evaluation = evaluation or EvaluationOptions()
        self.depth_loss = depth_loss if depth_loss is not None else SILogLoss()
        self.optimizer = optimizer
        self.schedule = schedule or Schedule()
        self.nonfinite = NonFiniteGuard(nonfinite)
        self.compile_network = compile  # `compile` is a method of every module
        self.channels_last = channels_last
        self.val_errors = DepthErrors(protocol)
        self.evaluations = nn.ModuleDict()  # a module, so that Lightning moves its sums to the device

    @abstractmethod
    def forward(self, batch: Batch) -> Prediction:
        """Predict from the batch's ``image`` and what else the method ``requires``."""

    @property
    def normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """RGB mean and standard deviation that the backbone expects; data modules read it."""
        return self.network.backbone.mean, self.network.backbone.std

    def losses(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Weighted terms of the training loss, by name; their sum is minimised."""
        return {"depth": self.depth_loss(prediction.depth, batch["depth"], batch["valid"])}

    def check_data(self, datamodule: Any) -> None:
        """Check that a data module provides what the method reads.

        Raises:
            ValueError: if it does not, naming the keys.
        """
        if missing := self.requires - datamodule.provides:
            key = min(missing)
            raise ValueError(
                f"{type(self).__name__} requires {', '.join(sorted(missing))}, which `{datamodule.name}` does not "
                f"provide; for {key}: {datamodule.hint(key)}"
            )

    def configure_model(self) -> None:
        """Apply ``compile`` and ``channels_last`` to the network, in place: checkpoints know nothing of either."""
        if self.channels_last:
            self.network.to(memory_format=torch.channels_last)
        if self.compile_network:
            self.network.compile()

    def setup(self, stage: str) -> None:
        """Check the data, and make the metrics of each test set."""
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is not None:
            self.check_data(datamodule)
        names = datamodule.test_names() if datamodule is not None else ["data"]
        provides: frozenset[str] = getattr(datamodule, "provides", frozenset())
        classes = getattr(datamodule, "classes", 40)
        self.evaluations = nn.ModuleDict(
            {f"test/{name}": Evaluation(self.protocol, self.evaluation, provides, classes) for name in names}
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one batch."""
        prediction = self(batch)
        losses = self.losses(prediction, batch)
        loss = torch.stack(list(losses.values())).sum()
        size = len(batch["image"])
        if not self.nonfinite.note(losses, batch, prediction):
            return loss  # not logged: the step is skipped or the last one, see on_before_optimizer_step
        self.log("train/loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=size, sync_dist=False)
        if "skipped" in batch:
            skipped = batch["skipped"].sum().float()
            self.log("train/skipped", skipped, on_step=False, on_epoch=True, reduce_fx="sum", batch_size=size)
        if len(losses) > 1:
            self.log_dict({f"train/{name}": value for name, value in losses.items()}, batch_size=size)
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Keep non-finite gradients out of the weights, on all processes alike.

        Raises:
            NonFiniteError: as :class:`NonFiniteGuard` decides.
        """
        if self.trainer.precision == "16-mixed":
            return  # the loss scaling looks for them itself, and meets some by design
        finite = self.nonfinite.check(self.parameters(), self.trainer.global_step)
        if self.nonfinite.policy == "skip":
            self.log("train/nonfinite_batches", float(not finite), on_step=False, on_epoch=True, reduce_fx="sum")

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Update the validation metrics.

        Returns:
            ``prediction``: the :class:`Prediction`, for pictures.
        """
        prediction = self(batch)
        self.val_errors.update(prediction.depth, batch["depth"], batch["valid"])
        return {"prediction": prediction}

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """Update the metrics of one test set.

        Returns:
            ``prediction``: the :class:`Prediction`; ``per_image``: metric name to (B,) values, for tables and pictures.
        """
        prediction = self(batch)
        evaluation = cast(Evaluation, list(self.evaluations.values())[dataloader_idx])
        return {"prediction": prediction, "per_image": evaluation.update(prediction, batch)}

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Prediction:
        """The method's prediction."""
        return self(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the validation figures, the same on every process."""
        self._log_figures("val", self.val_errors, bar=frozenset({"abs_rel", "delta1"}))

    def on_test_epoch_end(self) -> None:
        """Log the test figures of every data set, the same on every process."""
        for key, evaluation in self.evaluations.items():
            self._log_figures(key, cast(Evaluation, evaluation))

    def _log_figures(self, key: str, measured: DepthErrors | Evaluation, bar: frozenset[str] = frozenset()) -> None:
        figures = measured.compute()
        measured.reset()
        for name, value in figures.items():
            self.log(f"{key}/{name}", value.float(), prog_bar=name in bar, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note method and data: a checkpoint of another experiment is refused by name."""
        data = getattr(getattr(self.trainer, "datamodule", None), "name", "")
        checkpoint["origin"] = {"method": type(self).__name__, "data": data}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer, and the schedule over all steps of the run.

        Raises:
            ValueError: if the schedule needs an end that the trainer does not have.
        """
        optimizer = self.optimizer(self.parameters())
        steps = self.trainer.estimated_stepping_batches
        if math.isinf(steps) and self.schedule.name != "constant":
            raise ValueError(f"schedule `{self.schedule.name}` needs an end: set `trainer.max_epochs` or `max_steps`")
        scheduler = self.schedule.build(optimizer, int(min(steps, 2**62)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
