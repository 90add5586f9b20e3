"""What happens when a loss or a gradient is not a number."""

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightning_modules.prediction import Prediction

#: Steps that may be skipped one after the other; more are no accident of one batch.
PATIENCE = 10


class NonFiniteError(ArithmeticError):
    """Training cannot go on with these numbers.

    Attributes:
        report: what was computed of what, as tensors and plain values; no weights.
    """

    def __init__(self, message: str, report: dict[str, Any]):
        super().__init__(message)
        self.report = report


class NonFiniteGuard:
    """Keeps NaN and infinity out of the weights.

    Gradients are looked at after processes have averaged them and before the optimizer sees them: one bad batch makes
    them non-finite on every process, so that all of them stop, or skip the step, together.

    Args:
        policy: ``stop``, or ``skip`` the step, at most :data:`PATIENCE` times in a row.
    """

    def __init__(self, policy: Literal["stop", "skip"]):
        self.policy = policy
        self.skipped_in_a_row = 0
        self._suspect: dict[str, Any] | None = None

    def note(self, losses: dict[str, Tensor], batch: dict[str, Any], prediction: Prediction) -> bool:
        """Whether the losses of a batch are finite; if not, the batch is remembered for the report."""
        finite = bool(torch.stack([loss.detach() for loss in losses.values()]).isfinite().all())
        if not finite:
            self._suspect = report(losses, batch, prediction)
        return finite

    def check(self, parameters: Iterable[nn.Parameter], step: int) -> bool:
        """Look at the gradients of a step; non-finite ones are taken away, and the optimizer then leaves all as it is.

        Returns:
            Whether they were finite.

        Raises:
            NonFiniteError: if they were not and the policy is to stop, naming the frames of the batch.
        """
        parameters = [parameter for parameter in parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        suspect, self._suspect = self._suspect, None
        if bool(norm.isfinite()):
            self.skipped_in_a_row = 0
            return True
        self.skipped_in_a_row += 1
        for parameter in parameters:
            parameter.grad = None
        if self.policy == "skip" and self.skipped_in_a_row <= PATIENCE:
            return False
        again = f", {self.skipped_in_a_row} times in a row" if self.policy == "skip" else ""
        raise NonFiniteError(
            f"step {step}: the gradient is not finite{again}; {describe(suspect)}; "
            "lower the learning rate, or skip such steps (`model.init_args.nonfinite: skip`)",
            {"step": step, **(suspect or {})},
        )


def report(losses: dict[str, Tensor], batch: dict[str, Any], prediction: Prediction) -> dict[str, Any]:
    """Frames, loss terms and statistics of prediction and truth, on the CPU."""
    return {
        "index": [int(index) for index in batch["index"]],
        "scene": list(batch["scene"]),
        "losses": {name: float(loss.detach()) for name, loss in losses.items()},
        "prediction": None if prediction.depth is None else statistics(prediction.depth.detach().float()),
        "valid_of_image": batch["valid"].flatten(1).sum(1).tolist(),
    }


def statistics(depth: Tensor) -> dict[str, Any]:
    """Of a prediction (B, 1, H, W)."""
    finite = depth[depth.isfinite()]
    return {
        "shape": list(depth.shape),
        "nonfinite": int((~depth.isfinite()).sum()),
        "min": float(finite.min()) if finite.numel() else None,
        "max": float(finite.max()) if finite.numel() else None,
        "nonfinite_of_image": (~depth.isfinite()).flatten(1).sum(1).tolist(),
    }


def describe(suspect: dict[str, Any] | None) -> str:
    """The batch, in words."""
    if suspect is None:
        return "the losses of this process are finite: it is the backward pass, or another process"
    terms = ", ".join(f"{name} {value:g}" for name, value in suspect["losses"].items())
    frames = ", ".join(f"{index} ({scene})" for index, scene in zip(suspect["index"], suspect["scene"], strict=True))
    return f"losses {terms} of frames {frames}"
