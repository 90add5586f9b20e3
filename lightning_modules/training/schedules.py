"""Learning-rate schedules by name, stepped once an optimizer step."""

from dataclasses import dataclass
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    PolynomialLR,
    SequentialLR,
)


@dataclass(frozen=True)
class Schedule:
    """Shape of the learning rate over training.

    Attributes:
        name: ``constant``; ``poly`` (1 - t)^power, as DPT-like recipes use it; ``cosine`` down to ``floor``.
        warmup: share of all steps over which the rate first rises linearly, [0, 1).
        power: exponent of ``poly``.
        floor: rate at which ``cosine`` ends.
    """

    name: Literal["constant", "poly", "cosine"] = "constant"
    warmup: float = 0.0
    power: float = 0.9
    floor: float = 0.0

    def build(self, optimizer: Optimizer, total_steps: int) -> LRScheduler:
        """Build the schedule of an optimizer over ``total_steps`` steps.

        Raises:
            ValueError: if ``warmup`` is outside [0, 1).
        """
        if not 0 <= self.warmup < 1:
            raise ValueError(f"`schedule.warmup` is a share of all steps in [0, 1), not {self.warmup}")
        warmup_steps = round(self.warmup * total_steps)
        rest = max(total_steps - warmup_steps, 1)
        main: LRScheduler
        match self.name:
            case "constant":
                main = ConstantLR(optimizer, factor=1.0, total_iters=0)
            case "poly":
                main = PolynomialLR(optimizer, total_iters=rest, power=self.power)
            case "cosine":
                main = CosineAnnealingLR(optimizer, T_max=rest, eta_min=self.floor)
        if not warmup_steps:
            return main
        warmup = LinearLR(optimizer, start_factor=1 / (warmup_steps + 1), total_iters=warmup_steps)
        return SequentialLR(optimizer, [warmup, main], milestones=[warmup_steps])
