"""What every metric of the suite stands on: states that stay exact over batches, processes and precisions."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric


def accumulation_dtype(device: torch.device) -> torch.dtype:
    """Float64, or float32 on Apple's ``mps``, which has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


class SuiteMetric(Metric):
    """Base of the suite's metrics: ``compute`` returns a dict of scalars, and low precision leaves the states alone.

    Torchmetrics keeps the dtype of states through ``.half()`` but not through ``.to(torch.bfloat16)``, which is what
    Lightning's ``precision: bf16-true`` calls. Here a move changes the device of a state and nothing else.

    Attributes:
        per_image: figures of the images of the last ``update``, name to (B,), NaN where an image has none; for tables
            and pictures. Empty for a metric that images do not have on their own.
    """

    is_differentiable = False
    higher_is_better = None  # a metric of the suite returns figures of both kinds
    full_state_update = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.per_image: dict[str, Tensor] = {}

    def reset(self) -> None:
        """Forget all batches. Lightning validates in inference mode, whose tensors a training could not add to."""
        with torch.inference_mode(False):
            super().reset()

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Any = "") -> nn.Module:
        return super()._apply(lambda state: state.to(fn(state.new_empty(0)).device), exclude_state)


class ExactSums(SuiteMetric):
    """Base of metrics whose every state is a sum or a count, added up over updates and over processes."""

    def add_sum(self, name: str, *shape: int) -> None:
        """Declare a floating-point sum of the given shape, reset to zeros."""
        # Lightning builds metrics on the CPU and moves them, so the Mac is asked for, not the present device.
        dtype = torch.float32 if torch.backends.mps.is_available() else torch.float64
        self.add_state(name, torch.zeros(shape, dtype=dtype), dist_reduce_fx="sum")

    def add_count(self, name: str) -> None:
        """Declare an integer count, reset to zero."""
        self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
