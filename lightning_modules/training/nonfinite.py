"""What happens when a loss or a gradient is not a number."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_modules.batch import Batch
from lightning_modules.prediction import Prediction
from lightning_modules.training.late_flag import LateFlag
from lightning_modules.training.noted_batches import Noted, describe, report
from lightning_modules.training.optimization import is_fused

#: Steps that may be skipped one after the other; more are no accident of one batch.
PATIENCE = 10


class NonFiniteError(ArithmeticError):
    """Training cannot continue with these numbers.

    Attributes:
        report: frames, loss terms and statistics of the suspect batch, see :func:`.report`; no weights.
    """

    def __init__(self, message: str, report: dict[str, Any]):
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class Verdict:
    """Whether the gradient of a step is finite, as far as that is known.

    Attributes:
        finite: whether all gradients are, over all processes.
        step: number of the optimizer step.
        noted: the step's batches.
    """

    finite: LateFlag
    step: int
    noted: list[Noted]


class NonFiniteGuard(Callback):
    """A callback that keeps NaN and infinity out of the weights.

    Gradients are looked at after processes have averaged them and before the optimizer sees them: one bad batch makes
    them non-finite on every process, so that all of them stop, or skip the step, together.

    With ``stop``, training never waits for a GPU while all is finite. A gradient that is not finite is replaced by
    zeros on the GPU itself, and the CPU learns of it one step later, always before weights are saved or evaluated, and
    stops. By then the optimizer has made one step with a zero gradient, of its momentum alone; a fused optimizer
    is told to leave the step out instead, which takes one launch where zeros take one for each parameter. With
    ``skip`` the optimizer must not run at all, so each step waits until its loss and gradient have been checked.

    A method has its own guard (``configure_callbacks``) and tells it of every batch (:meth:`note`).

    Args:
        policy: ``stop``, or ``skip`` the step, at most :data:`PATIENCE` times in a row.
        late: check the result one step later; None does so where it avoids waiting, for ``stop`` on a GPU.

    Raises:
        ValueError: for ``skip`` with ``late``: a step that is over cannot be skipped.
    """

    def __init__(self, policy: Literal["stop", "skip"], *, late: bool | None = None):
        if late and policy == "skip":
            raise ValueError("a step cannot be skipped when it is over: `late` needs the policy `stop`")
        self.policy = policy
        self.late = late
        self.skipped_in_a_row = 0
        self._noted: list[Noted] = []
        self._verdict: Verdict | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check at once where the loss scaling of `16-mixed` waits for the GPU anyway."""
        if trainer.precision == "16-mixed":
            self.late = False

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Check the gradients, with the same result on all processes; raises as :meth:`check`."""
        if trainer.precision == "16-mixed":
            self._noted.clear()  # the loss scaling looks for them itself, and meets some by design
            return
        finite = self.check(pl_module.parameters(), trainer.global_step, optimizer)
        if self.policy == "skip":
            pl_module.log("train/nonfinite_batches", float(not finite), on_step=False, on_epoch=True, reduce_fx="sum")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Settle the last step first, so that no spoilt weights are evaluated; raises as :meth:`check`."""
        self.settle()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Settle the last step first, so that no spoilt epoch counts as done; raises as :meth:`check`."""
        self.settle()

    def note(self, losses: dict[str, Tensor], batch: Batch, prediction: Prediction) -> bool:
        """Remember a batch for the report.

        Returns:
            Whether its losses are finite; true where that is only known later.
        """
        terms = {name: loss.detach() for name, loss in losses.items()}
        finite = torch.stack([term.isfinite() for term in terms.values()]).all()
        depth = None if prediction.depth is None else prediction.depth.detach()
        self._noted.append(Noted(batch["index"], batch["scene"], terms, depth, batch["valid"], finite))
        return self._is_late(finite) or bool(finite)

    def check(self, parameters: Iterable[nn.Parameter], step: int, optimizer: Optimizer | None = None) -> bool:
        """Check the gradients of a step before the optimizer reads them, and remove non-finite ones.

        Args:
            parameters: of the method.
            step: number of the optimizer step.
            optimizer: which will read them.

        Returns:
            Whether they are finite; if not, the parameters have no gradient any more, and the optimizer leaves them and
            its own state as they are. True where that is only known later: if one is not finite, all gradients are then
            zeros, or the optimizer, if it is fused, leaves this step out.

        Raises:
            NonFiniteError: if they are not and the policy is to stop, or if too many were skipped in a row; where the
                result is only known later, that of the step before. It names the frames of the batch.
        """
        self.settle()
        parameters = [parameter for parameter in parameters if parameter.grad is not None]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        finite = torch.nn.utils.get_total_norm(gradients).isfinite()
        noted, self._noted = self._noted, []
        self._verdict = Verdict(LateFlag(finite), step, noted)
        if self._is_late(finite):
            spoilt = ~finite
            if optimizer is not None and is_fused(optimizer):
                optimizer.found_inf = spoilt.float()  # type: ignore[attr-defined]  # as a GradScaler tells it
                return True
            for gradient in gradients:
                gradient.masked_fill_(spoilt, 0)
            return True
        if not self._verdict.finite.read():
            for parameter in parameters:
                parameter.grad = None
        return self.settle()

    def settle(self) -> bool:
        """Read the result of the last check, if that has not been done yet.

        It is called before weights are saved or evaluated, since those of a non-finite step must not be used.

        Returns:
            Whether its gradient was finite.

        Raises:
            NonFiniteError: as :meth:`check`.
        """
        verdict, self._verdict = self._verdict, None
        if verdict is None:
            return True
        if verdict.finite.read():
            self.skipped_in_a_row = 0
            return True
        self.skipped_in_a_row += 1
        if self.policy == "skip" and self.skipped_in_a_row <= PATIENCE:
            return False
        again = f", {self.skipped_in_a_row} times in a row" if self.policy == "skip" else ""
        suspect = next((report(noted) for noted in reversed(verdict.noted) if not noted.finite), None)
        raise NonFiniteError(
            f"step {verdict.step}: the gradient is not finite{again}; {describe(suspect)}; "
            "lower the learning rate, or skip such steps (`model.init_args.nonfinite: skip`)",
            {"step": verdict.step, **(suspect or {})},
        )

    def _is_late(self, flag: Tensor) -> bool:
        if self.late is None:
            return self.policy == "stop" and flag.device.type == "cuda"
        return self.late
