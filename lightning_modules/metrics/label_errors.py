"""Depth errors where depth is hard to predict: near the borders of labels, and on thin things."""

import math
from typing import Any, ClassVar

from torch import Tensor

from lightning_modules.metrics.label_discs import near_other_label, opening_residue
from lightning_modules.metrics.label_maps import check_labels
from lightning_modules.metrics.metric_info import Infos
from lightning_modules.metrics.protocol import EvalProtocol, Prepared
from lightning_modules.metrics.subset_errors import ERRORS, SubsetErrors


class BorderErrors(SubsetErrors):
    """Errors near borders of the labels (``abs_rel_border``, ``rmse_border``, ``delta1_border``) and away from them.

    A labelled pixel is near a border if a pixel of another class is at most ``distance`` pixels away; all other
    labelled pixels are the ``_interior``. Unlabelled pixels belong to neither, and make no border. Labels count outside
    the crop and where depth is not measured, too. Averaging and counts are those of :class:`SubsetErrors`.

    Args:
        protocol: range, crop, alignment and averaging.
        distance: pixels of the truth's grid.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if the distance is below 1 pixel.
    """

    group = "label_border"
    needs = ("semantics",)
    info: ClassVar[Infos] = {
        f"{error}_{subset}": info for subset in ("border", "interior") for error, info in ERRORS.items()
    }

    def __init__(self, protocol: EvalProtocol, distance: float = 5.0, **kwargs: Any) -> None:
        super().__init__(protocol, ("border", "interior"), **kwargs)
        if not distance >= 1:
            raise ValueError(f"`label_border.distance` must be at least 1 pixel, got {distance}")
        self.distance = distance

    def subsets_of(self, prepared: Prepared, semantics: Tensor) -> Tensor:
        """Return 1 near a border and 2 inside from classes (B, H, W), 0 = unlabelled.

        Raises:
            ValueError: if the labels do not fit to the truth.
        """
        check_labels(prepared.target, semantics)
        near = near_other_label(semantics, self.distance)
        return (2 - near.long()).where(prepared.valid[:, 0] & (semantics > 0), 0)


class ThinErrors(SubsetErrors):
    """Errors on small and thin things: ``abs_rel_thin``, ``rmse_thin`` and ``delta1_thin``.

    These are the labelled pixels that the morphological opening of their class's region by a disc removes: where no
    disc of the given radius fits into the region. So it takes legs of chairs and lamps, books and cups, whatever the
    classes are, and the outermost corners of what is large. A region that the frame cuts off continues outside it;
    unlabelled pixels are not of the region. Averaging and counts are those of :class:`SubsetErrors`.

    Args:
        protocol: range, crop, alignment and averaging.
        radius: of the disc, as a share of the frame's diagonal; 0.01 are 8 pixels of 480 x 640.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: unless 0 < radius < 0.5.
    """

    group = "thin"
    needs = ("semantics",)
    info: ClassVar[Infos] = {f"{error}_thin": info for error, info in ERRORS.items()}

    def __init__(self, protocol: EvalProtocol, radius: float = 0.01, **kwargs: Any) -> None:
        super().__init__(protocol, ("thin",), **kwargs)
        if not 0 < radius < 0.5:
            raise ValueError(f"`thin.radius` is a share of the frame's diagonal, between 0 and 0.5, got {radius}")
        self.radius = radius

    def subsets_of(self, prepared: Prepared, semantics: Tensor) -> Tensor:
        """Return 1 on small and thin things from classes (B, H, W), 0 = unlabelled.

        Raises:
            ValueError: if the labels do not fit to the truth.
        """
        check_labels(prepared.target, semantics)
        pixels = max(1.0, self.radius * math.hypot(*semantics.shape[1:]))
        return (opening_residue(semantics, pixels) & prepared.valid[:, 0]).long()
