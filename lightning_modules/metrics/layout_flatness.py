"""Are the walls, floors and ceilings of the labels flat in the prediction, and do they face the right way?"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import cv2
import numpy as np
import torch
from torch import Tensor

from lightning_modules.metrics.depth_metric import DepthMetric
from lightning_modules.metrics.label_maps import check_labels
from lightning_modules.metrics.metric_info import LEFT_OUT_OF_DETAILS, Infos, MetricInfo, lower
from lightning_modules.metrics.plane_fitting import angle_between, fit_plane, span_a_plane
from lightning_modules.metrics.point_cloud import check_intrinsics, metric_depths, pixel_rays
from lightning_modules.metrics.protocol import EvalProtocol, Prepared

#: Number of classes in NYU40, of which these are ids.
CLASSES = 40
KINDS = {"wall": 1, "floor": 2, "ceiling": 22}
KEYS = {
    **{f"{kind}_flatness": lower("m", detail=True) for kind in (*KINDS, "layout")},
    **{f"{kind}_orientation": lower("°", detail=True) for kind in (*KINDS, "layout")},
    "layout_flatness_truth": MetricInfo("m", detail=True),
}

#: Of one plane: flatness, orientation, flatness of the truth.
_MEASURES = 3


class LayoutFlatness(DepthMetric):
    r"""Flatness and orientation of predicted walls, floors and ceilings, from labels and true depth alone.

    A plane is a connected region of one class (4 neighbours) whose evaluated pixels cover at least ``min_area`` of the
    frame and whose true points lie within ``max_rms`` of the plane that fits them best: a wall around a corner, or one
    with what hangs on it, is none. The rest is as in :class:`PlanarityErrors`: the prediction is scaled to the truth's
    median on the plane and back-projected, and a plane is fitted to its points (total least squares).

    =================================  ==============================================================================
    ``wall_flatness``, ``floor_…``,    standard deviation of the predicted points' distances to their plane, metres;
    ``ceiling_…``, ``layout_…``        ``layout`` are all three kinds; lower
    ``wall_orientation``, ...          angle between the normals of the predicted and the true plane, degrees; lower
    ``layout_flatness_truth``          the flatness of the truth itself, which has noise, too
    =================================  ==============================================================================

    All are means over the planes of the set. ``layout_planes`` counts them, ``excluded`` the images without any, and
    ``nonfinite`` the pixels of these planes with a NaN or infinite prediction, before or after the scaling, as
    :class:`CountedMeans` explains.

    Args:
        protocol: range, crop and alignment; errors are in metres whatever its ``unit``, and its ``averaging`` is not
            read.
        min_area: share of the frame.
        max_rms: metres.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: unless 0 <= min_area <= 1 and max_rms > 0.
    """

    totals: Tensor
    planes: Tensor

    group = "layout"
    needs = ("semantics", "intrinsics")
    info: ClassVar[Infos] = {**KEYS, "layout_planes": MetricInfo(detail=True)}
    counts: ClassVar[Infos] = {"excluded": LEFT_OUT_OF_DETAILS, "nonfinite": LEFT_OUT_OF_DETAILS}

    def __init__(self, protocol: EvalProtocol, min_area: float = 0.02, max_rms: float = 0.05, **kwargs: Any) -> None:
        super().__init__(protocol, **kwargs)
        if not (0 <= min_area <= 1 and max_rms > 0):
            raise ValueError(
                "`layout.min_area` is a share of the frame, 0 to 1, and `layout.max_rms` in metres > 0, "
                f"got {min_area} and {max_rms}"
            )
        self.min_area = min_area
        self.max_rms = max_rms
        self.add_sum("totals", _MEASURES, len(KINDS))
        self.add_sum("planes", len(KINDS))

    @classmethod
    def for_data(cls, protocol: EvalProtocol, classes: int, options: Mapping[str, Any]) -> Self | None:
        """Return the metric if the classes are NYU40's."""
        return super().for_data(protocol, classes, options) if classes == CLASSES else None

    def add(self, prepared: Prepared, semantics: Tensor, intrinsics: Tensor) -> None:
        """Add a prepared batch.

        Args:
            prepared: the batch.
            semantics: (B, H, W) int64 NYU40 classes, 0 = unlabelled.
            intrinsics: (B, 3, 3) camera matrices of the truth's grid.

        Raises:
            ValueError: if labels or intrinsics do not fit to the truth, or an intrinsic matrix is not a camera's.
        """
        check_labels(prepared.target, semantics)
        check_intrinsics(prepared.target, intrinsics)
        rows = []
        batch = (*metric_depths(prepared, self.protocol), semantics.cpu(), intrinsics.cpu().double())
        for pair, mask, labels, camera in zip(*batch, strict=True):
            totals, planes, nonfinite = self._add_image(pair, mask, labels, camera)
            self.totals += totals.to(self.totals)
            self.planes += planes.to(self.planes)
            self.excluded += not planes.any()
            self.nonfinite += nonfinite
            rows.append(_values(totals, planes))
        self.per_image = dict(zip(KEYS, torch.stack(rows, dim=1), strict=True))

    def means(self) -> dict[str, Tensor]:
        """Return the metrics of the class docstring, scalars; NaN where there was no plane."""
        return dict(zip(KEYS, _values(self.totals, self.planes), strict=True))

    def numbers(self) -> dict[str, Tensor]:
        """Return the number of planes."""
        return {"layout_planes": self.planes.sum()}

    def _add_image(self, pair: Tensor, mask: Tensor, labels: Tensor, camera: Tensor) -> tuple[Tensor, Tensor, int]:
        """(3, K) sums of the measures over the planes of each kind, (K,) their numbers, and non-finite predictions."""
        totals = torch.zeros(_MEASURES, len(KINDS), dtype=torch.float64)
        planes, nonfinite = totals.new_zeros(len(KINDS)), 0
        for place, id_ in enumerate(KINDS.values()):
            for pixels in self._regions(labels == id_, mask):
                rows, columns = pixels.unbind(1)
                predicted, truth = pair[:, rows, columns]
                rays = pixel_rays(columns, rows, camera, radial=self.protocol.radial)
                rms, normal = fit_plane(truth[:, None] * rays)
                if rms > self.max_rms:
                    continue
                measures, spoilt = _measure(predicted, truth, rays, normal)
                totals[:, place] += torch.stack([*measures, rms])
                planes[place] += 1
                nonfinite += spoilt
        if nonfinite:
            totals = totals.where(planes == 0, torch.nan)
        return totals, planes, nonfinite

    def _regions(self, region: Tensor, mask: Tensor) -> list[Tensor]:
        """(N, 2) rows and columns of the evaluated pixels of each large connected part of an (H, W) region."""
        if int((region & mask).sum()) < max(1, self.min_area * region.numel()):
            return []
        count, parts = cv2.connectedComponents(region.numpy().astype(np.uint8), connectivity=4)
        ids = torch.from_numpy(parts).long().where(mask, 0)
        areas = torch.bincount(ids.flatten(), minlength=count)
        large = [part for part in range(1, count) if areas[part] >= max(1, self.min_area * region.numel())]
        parts_of = [(ids == part).nonzero() for part in large]
        return [pixels for pixels in parts_of if span_a_plane(pixels)]


def _measure(predicted: Tensor, truth: Tensor, rays: Tensor, normal: Tensor) -> tuple[tuple[Tensor, Tensor], int]:
    """Flatness in metres and orientation in degrees of one plane, NaN if a prediction is not finite, and how many."""
    finite = predicted.isfinite()
    if finite.any():
        medians = (torch.tensor(np.median(depth.numpy())) for depth in (truth, predicted[finite]))
        predicted = predicted * torch.div(*medians)
    spoilt = int((~predicted.isfinite()).sum())
    if spoilt:
        nan = torch.tensor(torch.nan, dtype=torch.float64)
        return (nan, nan), spoilt
    flatness, found = fit_plane(predicted[:, None] * rays)
    return (flatness, angle_between(normal, found)), 0


def _values(totals: Tensor, planes: Tensor) -> Tensor:
    """Return values in the order of `KEYS` from (3, K) sums over planes and their numbers (K,), NaN without a plane."""
    totals = torch.cat([totals, totals.sum(1, keepdim=True)], dim=1)
    flatness, orientation, truth = totals / torch.cat([planes, planes.sum(0, keepdim=True)])
    return torch.cat([flatness, orientation, truth[-1:]])
