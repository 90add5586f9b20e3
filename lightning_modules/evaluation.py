"""All metrics of one test set: each for which the data have the truth and the method a prediction."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from lightning_modules.batch import Batch
from lightning_modules.evaluation_options import EvaluationOptions as EvaluationOptions
from lightning_modules.metrics.depth_metric import DepthMetric, ReadsDepth
from lightning_modules.metrics.exact_sums import SuiteMetric
from lightning_modules.metrics.protocol import EvalProtocol, Prepared
from lightning_modules.metrics.scale_check import ScaleCheck
from lightning_modules.metrics.suite import SUITE
from lightning_modules.prediction import Prediction

#: Keys that every sample has.
ALWAYS = frozenset({"image", "depth", "valid", "intrinsics", "scene", "frame", "index"})


@dataclass(frozen=True)
class Measured:
    """What an evaluation found in a batch.

    Attributes:
        prepared: depth and truth as the protocol compares them; None without a predicted depth.
        per_image: metrics of each image, name to (B,), NaN where an image has none.
    """

    prepared: Prepared | None
    per_image: dict[str, Tensor]


class Evaluation(nn.Module):
    """The metrics of one test set, one for each group: those for which data and method provide what they read.

    Args:
        protocol: how predictions are compared with the truth.
        options: what is measured, and how.
        provides: keys of a sample that the data provide.
        classes: number of classes of the data's ``semantics``.

    Attributes:
        remarks: what is suspicious about the predictions, one line each; set by :meth:`compute`.
    """

    def __init__(
        self,
        protocol: EvalProtocol,
        options: EvaluationOptions | None = None,
        provides: frozenset[str] = frozenset(),
        classes: int = 40,
    ):
        super().__init__()
        options = options or EvaluationOptions()
        self.protocol = protocol
        self.remarks: list[str] = []
        self.scale_check = ScaleCheck(protocol)
        self.metrics = nn.ModuleDict()
        for group, metric in SUITE.items():
            asked_for = options.groups is None or group in options.groups
            if asked_for and provides | ALWAYS >= set(metric.needs):
                made = metric.for_data(protocol, classes, options.of(group))
                if made is not None:
                    self.metrics[group] = made

    @torch.no_grad()
    def update(self, prediction: Prediction, batch: Batch) -> Measured:
        """Prepare a batch once, add it to all metrics, and return what was measured.

        Pixels that the prediction does not cover count as pixels without truth.
        """
        covered = prediction.covered_at(batch["valid"].shape[-2:])
        whole: Mapping[str, Any] = batch
        judged = whole if covered is None else {**whole, "valid": batch["valid"] & covered}
        prepared = self._prepare(prediction, judged)
        per_image: dict[str, Tensor] = {}
        for metric in self._metrics():
            if isinstance(metric, ReadsDepth):
                beside = [getattr(prediction, name) for name in metric.also_reads]
                if not prepared or any(field is None for field in beside):
                    continue
                own = metric.protocol if isinstance(metric, DepthMetric) else self.protocol
                metric.update_prepared(prepared[own], *beside, *(judged[key] for key in metric.needs))
            else:
                predicted = covered if metric.reads == "covered" else getattr(prediction, metric.reads)
                if predicted is None or not len(predicted):  # a method without segments has an empty list of them
                    continue
                seen = whole if metric.reads == "covered" else judged
                metric.update(predicted, *(seen[key] for key in metric.needs))
            per_image |= metric.per_image
        return Measured(prepared.get(self.protocol), per_image)

    def compute(self) -> dict[str, Tensor]:
        """Return all metrics by public name, scalars, over all processes."""
        values: dict[str, Tensor] = {}
        for metric in self._metrics():
            if metric.update_called:
                values |= {metric.public_name(key): value for key, value in metric.compute().items()}
        if self.scale_check.update_called:
            values |= self.scale_check.compute()
            with self.scale_check.sync_context():
                self.remarks = self.scale_check.remarks()
        return values

    def reset(self) -> None:
        """Forget all batches."""
        for metric in self._metrics():
            metric.reset()
        self.scale_check.reset()

    def _prepare(self, prediction: Prediction, batch: Mapping[str, Any]) -> dict[EvalProtocol, Prepared]:
        """Prepare depth once for each protocol: the evaluation's own, and those of metrics in another unit."""
        if prediction.depth is None:
            return {}
        maps = prediction.depth, batch["depth"], batch["valid"]
        self.scale_check.update(*maps)
        others = {metric.protocol for metric in self._metrics() if isinstance(metric, DepthMetric)}
        return {protocol: protocol.prepare(*maps) for protocol in {self.protocol} | others}

    def _metrics(self) -> Iterator[SuiteMetric]:
        return (cast(SuiteMetric, metric) for metric in self.metrics.values())
