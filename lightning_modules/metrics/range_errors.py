"""Depth errors by range of true depth: does a method, or a loss, fail far away?"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_modules.metrics.metric_info import Infos
from lightning_modules.metrics.protocol import EvalProtocol, Prepared
from lightning_modules.metrics.subset_errors import ERRORS, SubsetErrors

#: Metres.
EDGES = (0.0, 2.0, 5.0, 10.0)


class RangeErrors(SubsetErrors):
    """``abs_rel_at_<a>_<b>`` and ``rmse_at_<a>_<b>``: errors of the pixels whose true depth d is a < d <= b metres.

    Beyond the last edge they are called ``..._at_<a>_up``. Ranges that begin at the protocol's ``max_depth`` or
    beyond are left out. Averaging and counts are those of :class:`SubsetErrors`; errors are in the protocol's unit.

    Args:
        protocol: range, crop, alignment and averaging.
        edges: metres, ascending, of the ranges.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if the edges do not ascend from 0 or more, or all are beyond ``max_depth``.
    """

    group = "range"
    info: ClassVar[Infos] = {f"{error}_at_{{low}}_{{high}}": ERRORS[error] for error in ("abs_rel", "rmse")}

    def __init__(self, protocol: EvalProtocol, edges: Sequence[float] = EDGES, **kwargs: Any) -> None:
        used = [edge for edge in edges if edge < protocol.max_depth]
        if not used or min(edges) < 0 or any(low >= high for low, high in pairwise(edges)):
            raise ValueError(
                f"`range.edges` must ascend from 0 m or more and begin below max_depth ({protocol.max_depth} m), "
                f"got {tuple(edges)}"
            )
        ends = [f"{edge:g}" for edge in edges] + ["up"]
        names = [f"at_{low}_{high}" for low, high in pairwise(ends)]
        super().__init__(protocol, names[: len(used)], ("abs_rel", "rmse"), **kwargs)
        self.edges = tuple(used)

    def subsets_of(self, prepared: Prepared) -> Tensor:
        """Return the number of the range, from 1, that the true depth is in."""
        target, valid = prepared.target[:, 0], prepared.valid[:, 0]
        edges = torch.tensor(self.edges, dtype=target.dtype, device=target.device) / self.protocol.unit
        return torch.bucketize(target, edges).where(valid, 0)  # a < d <= b
