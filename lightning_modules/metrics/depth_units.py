"""Depth errors in metres and in the units of a paper that normalises depth."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from lightning_modules.metrics.depth_errors import DepthErrors
from lightning_modules.metrics.protocol import EvalProtocol

#: Errors that have the unit of depth.
FIGURES = ("mae", "rmse")


class DepthErrorsInUnits(DepthErrors):
    """``mae_m`` and ``rmse_m`` in metres, ``mae_unit`` and ``rmse_unit`` in units; else as :class:`DepthErrors`.

    Guided MTI-Net, section 3, trains and reports depth scaled to [0, 1]. Errors that have no unit are the same in both,
    and left to :class:`DepthErrors`.

    Args:
        protocol: of which range, crop, alignment and averaging count, not the unit.
        unit: metres that are 1.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if ``unit`` is not positive.
    """

    def __init__(self, protocol: EvalProtocol, unit: float, **kwargs: Any) -> None:
        if not unit > 0:
            raise ValueError(f"`evaluation.unit` is metres per unit and must be positive, got {unit}")
        super().__init__(replace(protocol, unit=1.0), **kwargs)
        self.unit = unit

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add a batch, as :meth:`DepthErrors.update` does."""
        super().update(prediction, target, valid)
        self.per_image = self._in_both(self.per_image)

    def compute(self) -> dict[str, Tensor]:
        """The figures of the class docstring, scalars."""
        return self._in_both(super().compute())

    def _in_both(self, figures: dict[str, Tensor]) -> dict[str, Tensor]:
        metres = {f"{name}_m": figures[name] for name in FIGURES}
        return metres | {f"{name}_unit": figures[name] / self.unit for name in FIGURES}
