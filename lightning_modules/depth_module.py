"""The one training and evaluation loop that every method shares."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from lightning_modules.prediction import Prediction, TestOutput
from lightning_modules.training.nonfinite import NonFiniteGuard
from lightning_modules.training.parameter_groups import check_lr_scale, parameter_groups
from lightning_modules.training.schedules import Schedule
from lightning_modules.training.validation_losses import mean_over_frames

Batch = dict[str, Any]


class DepthModule(LightningModule, ABC):
    """Train on one loss, evaluate under one protocol, whatever the method.

    A method sets ``self.network``, says in ``requires`` which keys of a :class:`~datamodules.sample.Sample` it reads,
    and turns a batch into a :class:`Prediction`. A method with more than a depth loss extends :meth:`losses`.

    Logged: ``train/loss`` and its terms, ``val/<metric>`` of the per-pixel depth errors, ``val/loss`` and its terms
    ``val/loss_<term>``, and ``test/<data set>/<metric>`` of all that data and method allow.

    Args:
        protocol: how predictions are compared with the truth.
        evaluation: what is measured in `test`.
        test_protocols: the same for each of the data's ``extra_tests``, in order; None takes ``protocol`` for all.
        depth_loss: module of (prediction, truth, valid), each (B, 1, H, W), to a scalar.
        optimizer: builds the optimizer from the parameters.
        lr_scale: factor on the learning rate of the parameters whose name begins so (``network.backbone: 0.1``); of
            several beginnings the longest counts.
        schedule: learning rate over training.
        nonfinite: what to do with a step whose gradient is not finite: ``stop`` training, or ``skip`` the step and
            count it in `train/nonfinite_batches`.
        compile: run the network through `torch.compile`; the first batch of each shape then takes a minute or two.
        channels_last: keep convolutions' weights, and so their maps, in channels-last order.
    """

    #: Keys of a sample that the method reads besides ``image``, ``depth`` and ``valid``.
    requires: ClassVar[frozenset[str]] = frozenset()

    #: Further keys that only its training reads.
    learns_from: ClassVar[frozenset[str]] = frozenset()

    #: The validation figure, lower is better, that tells the best checkpoint.
    selected_by: ClassVar[str] = "val/abs_rel"

    #: Whether predictions hold a depth, which a protocol compares with the truth.
    predicts_depth: ClassVar[bool] = True

    #: What of the truth the method reads in tests too, such as "semantics"; empty for nothing. Its figures are those of
    #: an oracle, and every table and picture says so.
    oracle: str = ""

    #: The method's network; its ``backbone`` says how images are normalised.
    network: Any

    def __init__(
        self,
        *,
        protocol: EvalProtocol,
        evaluation: EvaluationOptions | None = None,
        test_protocols: Sequence[EvalProtocol] | None = None,
        depth_loss: nn.Module | None = None,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scale: Mapping[str, float] | None = None,
        schedule: Schedule | None = None,
        nonfinite: Literal["stop", "skip"] = "stop",
        compile: bool = False,
        channels_last: bool = False,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.test_protocols = None if test_protocols is None else list(test_protocols)
        self.protocols = {"data": protocol}  # of each test set, by name
        self.dataset_at_hand = 0
        self.evaluation = evaluation or EvaluationOptions()
        self.depth_loss = depth_loss if depth_loss is not None else SILogLoss()
        self.optimizer = optimizer
        self.lr_scale = dict(lr_scale or {})
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
    def protocol(self) -> EvalProtocol:
        """Of the test set that the batch at hand comes from; outside `test` and `predict`, of the method's own data."""
        return list(self.protocols.values())[self.dataset_at_hand]

    @property
    def normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """RGB mean and standard deviation that the backbone expects; data modules read it."""
        return self.network.backbone.mean, self.network.backbone.std

    @property
    def oracle_at_hand(self) -> str:
        """``oracle`` of the next prediction, for pictures; a training in stages may change it on the way."""
        return self.oracle

    @property
    def facts(self) -> dict[str, Any]:
        """What a run's record says of the method besides its configuration, as plain JSON."""
        return {"oracle": self.oracle} if self.oracle else {}

    def losses(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Weighted terms of the training loss, by name; their sum is minimised."""
        return {"depth": self.depth_loss(prediction.depth, batch["depth"], batch["valid"])}

    def validation_losses(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Terms of the loss that validation logs, by name: those of training, unless a method learns their weights."""
        return self.losses(prediction, batch)

    def check_data(self, datamodule: Any, *, training: bool = False) -> None:
        """Check that a data module, and every further test set, provides what the method reads and is evaluated on.

        Args:
            datamodule: the data.
            training: whether the method is to be trained on them.

        Raises:
            ValueError: if it does not, naming the keys; if a protocol's crop is not defined on frames of a set's size;
                or if ``lr_scale`` names parameters that there are not.
        """
        if training:
            check_lr_scale([name for name, _ in self.named_parameters()], self.lr_scale)
        for number, data in enumerate(datamodule.test_sets()):
            required = self.requires | self.learns_from if training and number == 0 else self.requires
            if missing := required - data.provides:
                key = min(missing)
                raise ValueError(
                    f"{type(self).__name__} requires {', '.join(sorted(missing))}, which `{data.name}` does not "
                    f"provide; for {key}: {data.hint(key)}"
                )
        if self.predicts_depth:
            self._check_crops(datamodule.test_sets())

    def _check_crops(self, sets: Sequence[Any]) -> None:
        """Check each test set's frames against the crop of its protocol; a variant has those of its set."""
        for data, protocol in zip(sets, self._protocols_of(sets), strict=True):
            if size := getattr(getattr(data, "reader", None), "size", None):
                try:
                    protocol.check_size(*size)
                except ValueError as error:
                    raise ValueError(f"`{data.name}`: {error}") from error

    def configure_model(self) -> None:
        """Apply ``compile`` and ``channels_last`` to the network, in place: checkpoints know nothing of either."""
        if self.channels_last:
            self.network.to(memory_format=torch.channels_last)
        if self.compile_network:
            self.network.compile()

    def setup(self, stage: str) -> None:
        """Check the data, and make the metrics of each test set."""
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is None:
            self.evaluations = nn.ModuleDict({"test/data": Evaluation(self.protocol, self.evaluation)})
            return
        self.check_data(datamodule, training=stage == "fit")
        sets = datamodule.test_sets()
        self.protocols = {
            data.name: replace(protocol, radial=True) if getattr(data, "radial", False) else protocol
            for data, protocol in zip(sets, self._protocols_of(sets), strict=True)
        }
        self.evaluations = self.make_evaluations(sets)

    def make_evaluations(self, sets: Sequence[Any]) -> nn.ModuleDict:
        """The metrics of each test set, ``test/<name>``, of a variant those groups that it names."""
        return nn.ModuleDict(
            {
                f"test/{data.name}": Evaluation(
                    self.protocols[data.name],
                    self.evaluation.restricted(data.variant.groups) if _is_variant(data) else self.evaluation,
                    data.provides,
                    getattr(data, "classes", 40),
                )
                for data in sets
            }
        )

    def _protocols_of(self, sets: Sequence[Any]) -> list[EvalProtocol]:
        """One for each test set, for a variant that of the set whose frames it shows.

        Raises:
            ValueError: if ``test_protocols`` are not as many as there are further test sets.
        """
        plain = [data.name for data in sets if not _is_variant(data)]
        own, extra = next(iter(self.protocols.values())), len(plain) - 1
        further = [own] * extra if self.test_protocols is None else self.test_protocols
        if len(further) != extra:
            raise ValueError(
                f"`model.init_args.test_protocols` has {len(further)} entries, `data.init_args.extra_tests` {extra}: "
                "name a protocol for each, or leave the protocols out; `tests: [data/...]` in a YAML sets both"
            )
        by_name = dict(zip(plain, [own, *further], strict=True))
        return [by_name[data.set_name if _is_variant(data) else data.name] for data in sets]

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

    def validation_step(self, batch: Batch, batch_idx: int) -> TestOutput:
        """Update the validation metrics, and log the loss: its mean over frames, each taken by itself."""
        prediction = self(batch)
        if prediction.depth is not None:
            self.val_errors.update(prediction.depth, batch["depth"], batch["valid"])
        losses = mean_over_frames(self.validation_losses, prediction, batch)
        logged = {"val/loss": torch.stack(list(losses.values())).sum()}
        logged |= {f"val/loss_{name}": value for name, value in losses.items()}
        self.log_dict(logged, batch_size=len(batch["image"]), sync_dist=True)
        return self._output(prediction, batch, self.protocol, {})

    def on_test_batch_start(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Take up the protocol of the test set that the batch is from."""
        self.dataset_at_hand = dataloader_idx

    on_predict_batch_start = on_test_batch_start

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> TestOutput:
        """Update the metrics of one test set."""
        prediction = self(batch)
        evaluation = cast(Evaluation, list(self.evaluations.values())[dataloader_idx])
        per_image = evaluation.update(prediction, batch)
        return self._output(prediction, batch, self.protocol_of(dataloader_idx), per_image)

    def _output(
        self, prediction: Prediction, batch: Batch, protocol: EvalProtocol, per_image: Mapping[str, Tensor]
    ) -> TestOutput:
        prepared = None
        if prediction.depth is not None:
            covered = prediction.covered_at(batch["valid"].shape[-2:])
            valid = batch["valid"] if covered is None else batch["valid"] & covered
            prepared = protocol.prepare(prediction.depth, batch["depth"], valid)
        return {
            "prediction": prediction,
            "prepared": prepared,
            "protocol": protocol,
            "per_image": per_image,
            "oracle": self.oracle_at_hand,
        }

    def protocol_of(self, dataloader_idx: int) -> EvalProtocol:
        """Return the protocol of a test set, by the number of its loader."""
        return list(self.protocols.values())[dataloader_idx]

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Prediction:
        """The method's prediction."""
        return self(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the validation figures, the same on every process."""
        if self.val_errors.update_called:
            self._log_figures("val", self.val_errors, bar=frozenset({"abs_rel", "delta1"}))

    def on_test_epoch_end(self) -> None:
        """Log the test figures of every data set, the same on every process."""
        for key, evaluation in self.evaluations.items():
            self._log_figures(key, cast(Evaluation, evaluation))

    def on_test_end(self) -> None:
        """Go back to the protocol of the method's own data."""
        self.dataset_at_hand = 0

    on_predict_end = on_test_end

    def _log_figures(self, key: str, measured: DepthErrors | Evaluation, bar: frozenset[str] = frozenset()) -> None:
        figures = measured.compute()
        measured.reset()
        for name, value in figures.items():
            self.log(f"{key}/{name}", value.float(), prog_bar=name in bar, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note method and data: a checkpoint of another experiment is refused by name."""
        data = getattr(getattr(self.trainer, "datamodule", None), "name", "")
        checkpoint["origin"] = {"method": type(self).__name__, "data": data}

    def build_optimizer(self, build: OptimizerCallable, *, trained_only: bool = False) -> Optimizer:
        """An optimizer of the method's parameters, each group at its own rate (``lr_scale``).

        Args:
            build: makes it from groups of parameters.
            trained_only: leave frozen parameters out.

        Raises:
            ValueError: if ``lr_scale`` names parameters that there are not.
        """
        optimizer = build(parameter_groups(self.named_parameters(), self.lr_scale, trained_only=trained_only))
        for group in optimizer.param_groups:
            group["lr"] *= group.pop("lr_scale", 1.0)
        return optimizer

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer, and the schedule over all steps of the run.

        Raises:
            ValueError: if the schedule needs an end that the trainer does not have.
        """
        optimizer = self.build_optimizer(self.optimizer)
        steps = self.trainer.estimated_stepping_batches
        if math.isinf(steps) and self.schedule.name != "constant":
            raise ValueError(f"schedule `{self.schedule.name}` needs an end: set `trainer.max_epochs` or `max_steps`")
        scheduler = self.schedule.build(optimizer, int(min(steps, 2**62)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def _is_variant(data: Any) -> bool:
    """Whether a test set is another view of the frames of one, under whose protocol it is."""
    return getattr(data, "variant", None) is not None
