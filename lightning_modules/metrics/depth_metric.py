"""Base of metrics that compare depth with the truth, prepared once for all of them or each on its own."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor

from lightning_modules.metrics.exact_sums import CountedMeans, SuiteMetric
from lightning_modules.metrics.protocol import EvalProtocol, Prepared


class ReadsDepth(SuiteMetric):
    """Base of metrics that take a batch of depth as :meth:`EvalProtocol.prepare` returns it."""

    reads = "depth"

    @abstractmethod
    def update_prepared(self, prepared: Prepared, *truth: Tensor) -> None:
        """Add a batch that was prepared for several metrics.

        Args:
            prepared: the batch.
            truth: what else the metric ``also_reads`` of a prediction and ``needs`` of a sample, in that order.
        """


class DepthMetric(ReadsDepth, CountedMeans):
    """Base of metrics under an evaluation protocol; subclasses say in :meth:`add` what is done with a batch.

    Args:
        protocol: range, crop, alignment and averaging.
        kwargs: see :class:`torchmetrics.Metric`.
    """

    def __init__(self, protocol: EvalProtocol, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.protocol = protocol

    @classmethod
    def for_data(cls, protocol: EvalProtocol, classes: int, options: Mapping[str, Any]) -> Self | None:
        """Return the metric of a test set, or None if it does not apply; see :class:`SuiteMetric`."""
        return cls(protocol, **options)

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor, *truth: Tensor, prepared: bool = False) -> None:
        """Add a batch.

        Args:
            prediction: (B, 1, h, w) depth in metres, at any size and floating dtype.
            target: (B, 1, H, W) true depth in metres.
            valid: (B, 1, H, W) bool, true where the truth is measured.
            truth: what else the metric ``also_reads`` of a prediction and ``needs`` of a sample, in that order;
                :meth:`add` says what it is.
            prepared: whether the first three are what :meth:`EvalProtocol.prepare` returned already.

        Raises:
            ValueError: as :meth:`EvalProtocol.prepare` and :meth:`add`.
        """
        maps = Prepared(prediction, target, valid)
        self.add(maps if prepared else self.protocol.prepare(*maps), *truth)

    def update_prepared(self, prepared: Prepared, *truth: Tensor) -> None:
        """Add a batch that this metric's protocol has prepared; see :class:`ReadsDepth`."""
        self.update(*prepared, *truth, prepared=True)  # torchmetrics counts the calls of `update`

    @abstractmethod
    def add(self, prepared: Prepared, *truth: Any) -> None:
        """Add a prepared batch, of which nothing may be changed in place: other metrics read it too."""
