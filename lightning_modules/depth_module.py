"""The one training and evaluation loop that every method shares."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

import torch
from lightning.pytorch import Callback
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from lightning_modules.backbones.initial_weights import describe_sources
from lightning_modules.batch import Batch
from lightning_modules.data_checks import Normalization, check_fit, declared_normalization
from lightning_modules.depth_data import DepthData, data_of
from lightning_modules.evaluated_sets import make_evaluations, protocols_by_name
from lightning_modules.evaluation import Evaluation, EvaluationOptions
from lightning_modules.losses import SILogLoss
from lightning_modules.metrics import DepthErrors, EvalProtocol
from lightning_modules.mirrored import mirror, with_flip_uncertainty
from lightning_modules.old_checkpoints import LoadsOldCheckpoints
from lightning_modules.oracle import MayBeOracle
from lightning_modules.prediction import Prediction, TestOutput
from lightning_modules.training.block_compilation import compile_blocks
from lightning_modules.training.captured_step import CapturedStep, check_capture
from lightning_modules.training.logged import log_metrics, log_training, log_validation, total
from lightning_modules.training.nonfinite import NonFiniteGuard
from lightning_modules.training.optimization import optimizer_and_schedule
from lightning_modules.training.schedules import Schedule
from lightning_modules.training.validation_losses import mean_over_frames


class DepthModule(LoadsOldCheckpoints, MayBeOracle, ABC):
    """Base of all methods: trains on the sum of their losses and evaluates them under one protocol.

    A method sets ``network``, says in ``requires`` which keys of a :class:`Batch` it reads, and turns a batch into a
    :class:`Prediction`. If it has more than a depth loss it extends :meth:`losses`; if its network has no ``backbone``
    with a ``mean`` and a ``std`` it declares :attr:`normalization`.

    Args:
        protocol: how predictions are compared with the truth.
        evaluation: what is measured in `test`.
        test_protocols: the same for each of the data's ``extra_tests``, in order; None takes ``protocol`` for all.
        depth_loss: module of (prediction, truth, valid), each (B, 1, H, W), to a scalar.
        optimizer: builds the optimizer from the parameters.
        lr_scale: factor on the learning rate, by prefix of the parameters' names (``network.backbone: 0.1``); the
            longest prefix that matches counts.
        schedule: learning rate over training.
        nonfinite: what to do with a step whose gradient is not finite: ``stop`` training, or ``skip`` the step and
            count it in `train/nonfinite_batches`.
        compile: compile the network's blocks, see :func:`.compile_blocks`; the first batch then takes up to a minute.
        capture: record forward, losses and backward of a training step once as a CUDA graph and replay it, see
            :class:`.CapturedStep`; on one GPU, in float32 or bfloat16.
        channels_last: keep convolutions' weights, and so their maps, in channels-last order.
    """

    #: Keys of a batch that the method reads besides ``image``, ``depth`` and ``valid``.
    requires: ClassVar[frozenset[str]] = frozenset()
    #: Further keys that only its training reads.
    learns_from: ClassVar[frozenset[str]] = frozenset()
    #: The validation metric that the best checkpoint is chosen by; lower is better.
    selected_by: ClassVar[str] = "val/abs_rel"

    #: Whether predictions hold a depth, which a protocol compares with the truth.
    predicts_depth: ClassVar[bool] = True

    #: Whether depth is learned by ``depth_loss`` alone, which relative truth needs another of.
    learns_by_depth_loss: ClassVar[bool] = True

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
        capture: bool = False,
        channels_last: bool = False,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.test_protocols = None if test_protocols is None else list(test_protocols)
        self.test_names, self.protocols = ["data"], {"data": protocol}  # of the test sets, in order, and by name
        self.evaluation = evaluation or EvaluationOptions()
        self.depth_loss = depth_loss if depth_loss is not None else SILogLoss()
        self.optimizer, self.schedule, self.lr_scale = optimizer, schedule or Schedule(), dict(lr_scale or {})
        self.nonfinite = NonFiniteGuard(nonfinite)
        self.compile_network, self.channels_last = compile, channels_last  # `compile` is a method of every module
        self.capture = capture
        self._captured: CapturedStep | None = None
        self.val_errors = DepthErrors(protocol)
        self.evaluations = nn.ModuleDict()  # a module, so that Lightning moves its sums to the device

    @property
    def normalization(self) -> Normalization:
        """Return RGB mean and standard deviation that the network expects; raises ValueError if none is declared."""
        return declared_normalization(self)

    @property
    def facts(self) -> dict[str, Any]:
        """Return what a run's record says of the method besides its configuration, as plain JSON."""
        weights = self.initial_weights
        return ({"oracle": self.oracle} if self.oracle else {}) | ({"initial_weights": weights} if weights else {})

    @property
    def initial_weights(self) -> dict[str, str]:
        """Return in words where the backbone's initial weights come from, by part; empty for a hub's or random ones."""
        options = self.hparams
        name = options.get("backbone") or options.get("encoder") or "encoder"
        return describe_sources(str(name), options.get("pretrained", False))

    def configure_model(self) -> None:
        """Apply ``compile`` and ``channels_last`` to the network, in place; neither changes the checkpoints."""
        if self.channels_last:
            self.network.to(memory_format=torch.channels_last)
        if self.compile_network:
            compile_blocks(self.network)

    def configure_callbacks(self) -> list[Callback]:
        """Return the guard that keeps non-finite gradients out of the weights."""
        return [self.nonfinite]

    def losses(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of the training loss, by name, each (); their sum is minimised."""
        return {"depth": self.depth_loss(prediction.depth, batch["depth"], batch["valid"])}

    def validation_losses(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss that validation logs: those of training, unless their weights are learned."""
        return self.losses(prediction, batch)

    def check_data(self, data: DepthData, *, training: bool = False) -> None:
        """Check that the data fit the method, see :func:`check_fit`; methods add their own checks."""
        check_fit(self, data, training=training)

    def setup(self, stage: str) -> None:
        """Check the data, and choose the protocol and build the metrics of each test set."""
        if (data := data_of(self.trainer)) is None:
            self.evaluations = nn.ModuleDict({"test/data": Evaluation(self.protocol, self.evaluation)})
            return
        self.check_data(data, training=stage == "fit")
        sets = data.test_sets()
        self.protocols = protocols_by_name(sets, self.protocol, self.test_protocols)
        self.test_names = [tested.name for tested in sets]
        self.evaluations = make_evaluations(sets, self.protocols, self.evaluation)

    @property
    def protocol(self) -> EvalProtocol:
        """Return the protocol of the method's own data."""
        return self.protocol_of(0)

    def protocol_of(self, dataloader_idx: int) -> EvalProtocol:
        """Return the protocol of the test set that a test or predict loader reads, by the loader's position."""
        return self.protocols[self.test_names[dataloader_idx]]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer and the schedule, see :func:`.optimizer_and_schedule`."""
        steps, named = self.trainer.estimated_stepping_batches, self.named_parameters()
        return optimizer_and_schedule(named, self.optimizer, self.schedule, lr_scale=self.lr_scale, steps=steps)

    @abstractmethod
    def forward(self, batch: Batch) -> Prediction:
        """Return the prediction for a batch, from its ``image`` and the other keys that the method ``requires``."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch, (), and log it with its terms; a loss known not to be finite is not logged."""
        captured = self._captured is not None and self._captured.fits(batch)
        prediction, losses = cast(CapturedStep, self._captured)(batch) if captured else self._predict_and_compare(batch)
        if self.nonfinite.note(losses, batch, prediction):
            log_training(self, losses, batch)
        return total(losses)

    def _predict_and_compare(self, batch: Batch) -> tuple[Prediction, dict[str, Tensor]]:
        """Return a batch's prediction and the terms of its loss."""
        prediction = self(batch)
        return prediction, self.losses(prediction, batch)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Compute the gradients of a loss; those of a captured step are there already."""
        if self._captured is None or not self._captured.hand_over_gradients():
            super().backward(loss, *args, **kwargs)

    def on_fit_start(self) -> None:
        """Prepare the capture of steps; raises ValueError where it cannot be."""
        if self.capture:
            trainer = self.trainer
            accumulated, processes = trainer.accumulate_grad_batches, trainer.world_size
            check_capture(self.device, precision=str(trainer.precision), accumulated=accumulated, processes=processes)
            self._captured = CapturedStep(self, self._predict_and_compare)

    def on_fit_end(self) -> None:
        """Release the memory of a captured step."""
        self._captured = None

    def validation_step(self, batch: Batch, batch_idx: int) -> TestOutput:
        """Update the validation metrics, log the mean loss of single frames, and return what callbacks read."""
        prediction, protocol, oracle, prepared = self(batch), self.protocol, self.oracle_in_use, None
        if prediction.depth is not None:
            prepared = protocol.prepare(prediction.depth, batch["depth"], batch["valid"])
            self.val_errors.update_prepared(prepared)
            prepared = prediction.covered_part(prepared)
        log_validation(self, mean_over_frames(self.validation_losses, prediction, batch), batch)
        return TestOutput(prediction=prediction, prepared=prepared, protocol=protocol, per_image={}, oracle=oracle)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> TestOutput:
        """Predict a batch, update the metrics of its test set, and return what callbacks read."""
        evaluation = cast(Evaluation, self.evaluations[f"test/{self.test_names[dataloader_idx]}"])
        prediction, protocol, oracle = self(batch), self.protocol_of(dataloader_idx), self.oracle_in_use
        if self.evaluation.flip_uncertainty and "uncertainty" in evaluation.metrics:
            prediction = with_flip_uncertainty(prediction, self(mirror(batch)))
        measured = evaluation.update(prediction, batch)
        prepared, values = measured.prepared, measured.per_image
        return TestOutput(prediction=prediction, prepared=prepared, protocol=protocol, per_image=values, oracle=oracle)

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics, ``val/<metric>``."""
        log_metrics(self, "val", self.val_errors)

    def on_test_epoch_end(self) -> None:
        """Log the metrics of every test set, ``test/<name>/<metric>``."""
        for key, evaluation in self.evaluations.items():
            log_metrics(self, key, cast(Evaluation, evaluation))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the names of method and data: by them a checkpoint of another experiment is refused."""
        self.nonfinite.settle()  # weights of a step that training stops at are not saved
        data = data_of(self.trainer)
        checkpoint["origin"] = {"method": type(self).__name__, "data": data.name if data is not None else ""}
