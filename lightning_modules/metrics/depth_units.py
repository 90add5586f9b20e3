"""Depth errors in metres and in the units of a paper that normalises depth."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

from torch import Tensor

from lightning_modules.metrics.depth_errors import DepthErrors
from lightning_modules.metrics.metric_info import Infos, lower
from lightning_modules.metrics.protocol import EvalProtocol, Prepared

#: Errors that have the unit of depth.
KEYS = ("mae", "rmse")


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

    group = "unit"
    counts: ClassVar[Infos] = {}  # those of the depth errors
    info: ClassVar[Infos] = {f"{key}_m": lower("m") for key in KEYS} | {f"{key}_unit": lower() for key in KEYS}

    def __init__(self, protocol: EvalProtocol, unit: float, **kwargs: Any) -> None:
        if not unit > 0:
            raise ValueError(f"`evaluation.unit.unit` is metres per unit and must be positive, got {unit}")
        super().__init__(replace(protocol, unit=1.0), **kwargs)
        self.unit = unit

    @classmethod
    def for_data(cls, protocol: EvalProtocol, classes: int, options: Mapping[str, Any]) -> Self | None:
        """Return the metric if a unit is asked for."""
        return None if options["unit"] is None else super().for_data(protocol, classes, options)

    def add(self, prepared: Prepared) -> None:
        """Add a batch, as :meth:`DepthErrors.add` does."""
        super().add(prepared)
        self.per_image = self._in_both(self.per_image)

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics of the class docstring, scalars; their counts are those of :class:`DepthErrors`."""
        return self._in_both(super().compute())

    def _in_both(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        metres = {f"{key}_m": values[key] for key in KEYS}
        return metres | {f"{key}_unit": values[key] / self.unit for key in KEYS}
