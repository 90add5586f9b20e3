"""The optimizer and the learning-rate schedule of a training, whole or of one of its stages."""

import math
from collections.abc import Iterable, Mapping

import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

from lightning_modules.training.parameter_groups import parameter_groups
from lightning_modules.training.schedules import Schedule


def optimizer_and_schedule(
    parameters: Iterable[tuple[str, nn.Parameter]],
    build: OptimizerCallable,
    schedule: Schedule,
    *,
    lr_scale: Mapping[str, float],
    steps: float,
    trained_only: bool = False,
) -> OptimizerLRSchedulerConfig:
    """Build an optimizer with a rate for each group of parameters, and the schedule that is stepped with it.

    Args:
        parameters: names and parameters, all that the method has.
        build: makes the optimizer from groups of parameters.
        schedule: learning rate over ``steps``.
        lr_scale: factor on the learning rate, by prefix of a parameter's name, see :func:`parameter_groups`.
        steps: optimizer steps that the schedule lasts; infinity where training has no end.
        trained_only: leave frozen parameters out.

    Returns:
        What Lightning's ``configure_optimizers`` returns.

    Raises:
        ValueError: if ``lr_scale`` names parameters that do not exist, or if the schedule needs an end that the
            training does not have.
    """
    optimizer = build(parameter_groups(parameters, lr_scale, trained_only=trained_only))
    for group in optimizer.param_groups:
        group["lr"] *= group.pop("lr_scale", 1.0)
    if math.isinf(steps) and schedule.name != "constant":
        raise ValueError(f"schedule `{schedule.name}` needs an end: set `trainer.max_epochs` or `max_steps`")
    fuse(optimizer)
    scheduler = schedule.build(optimizer, int(min(steps, 2**62)))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


#: Optimizers that have a fused implementation on CUDA.
FUSED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)


def fuse(optimizer: torch.optim.Optimizer) -> None:
    """Let an optimizer of CUDA parameters update each group by one kernel, unless its ``fused`` or ``foreach`` is set.

    The numbers are the same but for round-off. torch's own default is ``foreach``, with a kernel for each operation.
    """
    if not isinstance(optimizer, FUSED):
        return
    for group in optimizer.param_groups:
        chosen = group.get("fused") is not None or group.get("foreach") is not None or group.get("differentiable")
        on_cuda = all(each.device.type == "cuda" and each.is_floating_point() for each in group["params"])
        if not chosen and on_cuda:
            group["fused"] = True


def is_fused(optimizer: torch.optim.Optimizer) -> bool:
    """Tell whether an optimizer updates all its groups by fused kernels, which read its ``found_inf`` on the device."""
    return isinstance(optimizer, FUSED) and all(group.get("fused") for group in optimizer.param_groups)
