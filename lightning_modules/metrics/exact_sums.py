"""What every metric of the suite stands on: states that stay exact over batches, processes and precisions."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from lightning_modules.metrics.metric_arguments import arguments_of
from lightning_modules.metrics.metric_info import LEFT_OUT, Infos
from lightning_modules.metrics.protocol import EvalProtocol


class SuiteMetric(Metric):
    """Base of the suite's metrics: ``compute`` returns a dict of scalars, and low precision leaves the states alone.

    Torchmetrics keeps the dtype of states through ``.half()`` but not through ``.to(torch.bfloat16)``, which is what
    Lightning's ``precision: bf16-true`` calls. Here a move changes the device of a state and nothing else.

    A class says as data what it is called, what it reads, and what its metrics are.

    Attributes:
        group: name of the class in ``evaluation.groups``.
        reads: field of a :class:`~lightning_modules.prediction.Prediction` that it judges.
        also_reads: further fields of a prediction, which ``update`` takes before what the metric ``needs``; only
            for metrics that judge depth.
        needs: keys of a sample that ``update`` takes after the prediction (and after depth and its valid pixels, where
            depth is judged), in this order.
        info: unit and direction by key of ``compute``, or by a template of keys such as ``delta{i}``.
        counts: the same of counts of what is left out or wrong.
        defaults: arguments that an evaluation gives the class unless it is told others.
        options: dataclass of the arguments that an evaluation can be told, made of those of the class.
        per_image: metrics of the images of the last ``update``, name to (B,), NaN where an image has none; for tables
            and pictures. Empty for a metric that images do not have on their own.
    """

    is_differentiable = False
    higher_is_better = None  # a metric of the suite returns values of both kinds; `info` tells
    full_state_update = False

    group: ClassVar[str]
    reads: ClassVar[str]
    also_reads: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    info: ClassVar[Infos]
    counts: ClassVar[Infos] = {}
    defaults: ClassVar[Mapping[str, Any]] = {}
    options: ClassVar[type]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "options" not in vars(cls):
            cls.options = arguments_of(cls, cls.defaults)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.per_image: dict[str, Tensor] = {}

    @classmethod
    def for_data(cls, protocol: EvalProtocol, classes: int, options: Mapping[str, Any]) -> Self | None:
        """Return the metric of a test set, or None if it does not apply.

        Args:
            protocol: how depth is compared with the truth.
            classes: number of classes of the data's ``semantics``.
            options: further arguments of the class, by name.
        """
        return cls(**options)

    @classmethod
    def public_name(cls, key: str) -> str:
        """Return what a key of ``compute`` is called in ``metrics.json``, where all groups stand beside each other."""
        return f"{cls.group}_{key}" if key in cls.counts else key

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

    def add_count(self, name: str, *shape: int) -> None:
        """Declare an integer count, or a tensor of counts, reset to zero."""
        self.add_state(name, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")


class CountedMeans(ExactSums):
    """Base of metrics that drop nothing in silence: they count what enters no mean, and what spoils all of them.

    ``excluded`` counts images for which the metrics are undefined: they enter none. ``nonfinite`` counts NaN or
    infinite predictions on evaluated pixels: a single one makes every metric NaN.

    Subclasses add to both counts in ``update``, and return the rest from :meth:`means`.
    """

    counts: ClassVar[Infos] = {"excluded": LEFT_OUT, "nonfinite": LEFT_OUT}

    excluded: Tensor
    nonfinite: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_count("excluded")
        self.add_count("nonfinite")

    @abstractmethod
    def means(self) -> dict[str, Tensor]:
        """Return the metrics by key, scalars, NaN where no image has one."""

    def numbers(self) -> dict[str, Tensor]:
        """Return what no prediction can spoil, by key: how many things the means are of, facts on the truth."""
        return {}

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics and counts of the class docstring, scalars; NaN where no image has one."""
        means = self.means()
        dtype = next(iter(means.values())).dtype
        counts = self.numbers() | {"excluded": self.excluded, "nonfinite": self.nonfinite}
        return {key: mean.where(self.nonfinite == 0, torch.nan) for key, mean in means.items()} | {
            key: count.to(dtype) for key, count in counts.items()
        }
