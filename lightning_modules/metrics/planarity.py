"""Planarity errors: are walls, table tops and floors flat in the prediction, and do they face the right way?"""

from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_modules.metrics.alignment import align
from lightning_modules.metrics.depth_metric import DepthMetric
from lightning_modules.metrics.metric_info import Infos, MetricInfo, lower
from lightning_modules.metrics.plane_fitting import angle_between, fit_plane, span_a_plane
from lightning_modules.metrics.point_cloud import metric_depths, pixel_rays
from lightning_modules.metrics.protocol import EvalProtocol, Prepared

KEYS = {"planarity_flatness": lower("cm"), "planarity_orientation": lower("°")}


class PlanarityErrors(DepthMetric):
    r"""The planarity errors of iBims-1 (Koch et al. 2018), means over all annotated planes of the set.

    On the valid pixels of a plane the prediction is scaled to the truth's median and back-projected, and a plane is
    fitted to the points (total least squares). This is what the authors' evaluation does, beyond what the paper says.

    =========================  ================================================================================
    ``planarity_flatness``     standard deviation of the points' distances to the fitted plane, centimetres
    ``planarity_orientation``  angle between the normals of the fitted and the true plane, 0 to 90 degrees
    =========================  ================================================================================

    ``planes`` counts the evaluated planes, ``excluded`` the images without any, and ``nonfinite`` the pixels of these
    planes with a NaN or infinite prediction, before or after the scaling, as :class:`CountedMeans` explains.

    Args:
        protocol: range, crop and alignment; errors are in centimetres and degrees whatever its ``unit``, and its
            ``averaging`` is not read.
        min_area: share of the image that a plane must cover; 0.05 in the authors' evaluation. Planes whose valid pixels
            are on one line of the image, where no plane can be fitted, are left out in any case.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: unless 0 <= min_area <= 1.
    """

    totals: Tensor
    planes: Tensor

    group = "plane"
    needs = ("planes", "plane_parameters", "intrinsics")
    info: ClassVar[Infos] = {**KEYS, "planes": MetricInfo()}

    def __init__(self, protocol: EvalProtocol, min_area: float = 0.05, **kwargs: Any) -> None:
        super().__init__(protocol, **kwargs)
        if not 0 <= min_area <= 1:
            raise ValueError(f"`min_area` is a share of the image, 0 to 1, got {min_area}")
        self.min_area = min_area
        self.add_sum("totals", len(KEYS))
        self.add_count("planes")

    def add(self, prepared: Prepared, planes: Tensor, plane_parameters: Tensor, intrinsics: Tensor) -> None:
        """Add a prepared batch.

        Args:
            prepared: the batch.
            planes: (B, H, W) int64 ids 1..P of the planes, 0 = none.
            plane_parameters: (B, P, 4) a, b, c, d of a X + b Y + c Z + d = 0 (X right, Y down, Z forward); where
                a, b, c are NaN, the true plane is fitted to the true depth.
            intrinsics: (B, 3, 3) camera matrices of the truth's grid.

        Raises:
            ValueError: if planes, parameters and intrinsics do not fit to the truth, or an intrinsic matrix is not a
                camera's.
        """
        _check_planes(prepared.target, planes, plane_parameters, intrinsics)
        maps = metric_depths(prepared, self.protocol)
        batch = (*maps, planes.cpu(), plane_parameters.cpu().double(), intrinsics.cpu().double())
        means = []
        for pair, mask, ids, parameters, camera in zip(*batch, strict=True):
            total = torch.zeros(len(KEYS), dtype=torch.float64)
            evaluated = [pixels for pixels in self._plane_pixels(ids, mask) if span_a_plane(pixels)]
            for rows, columns in (pixels.unbind(1) for pixels in evaluated):
                predicted, truth = pair[:, rows, columns].view(2, 1, 1, 1, -1)
                predicted = align(predicted, truth, torch.ones_like(truth, dtype=torch.bool), "median")
                nonfinite = (~predicted.isfinite()).sum()
                if nonfinite:
                    errors = torch.full((len(KEYS),), torch.nan)
                else:
                    normal = parameters[ids[rows[0], columns[0]] - 1, :3]
                    errors = _plane_errors(
                        predicted.flatten(), truth.flatten(), pixel_rays(columns, rows, camera), normal
                    )
                total += errors
                self.nonfinite += nonfinite.to(self.nonfinite)
            self.totals += total.to(self.totals)
            self.planes += len(evaluated)
            self.excluded += not evaluated
            means.append(total / len(evaluated) if evaluated else total * torch.nan)
        self.per_image = dict(zip(KEYS, torch.stack(means, dim=1), strict=True))

    def means(self) -> dict[str, Tensor]:
        """Return the metrics of the class docstring, scalars; NaN if there was no plane."""
        return dict(zip(KEYS, self.totals / self.planes, strict=True))

    def numbers(self) -> dict[str, Tensor]:
        """Return the number of evaluated planes."""
        return {"planes": self.planes}

    def _plane_pixels(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """(N, 2) rows and columns of the valid pixels of each plane that is large enough."""
        present, areas = ids[ids > 0].unique(return_counts=True)
        large = present[areas >= self.min_area * ids.numel()]
        return [((ids == plane) & mask).nonzero() for plane in large]


def _plane_errors(predicted: Tensor, truth: Tensor, rays: Tensor, normal: Tensor) -> Tensor:
    """(2,) flatness in centimetres and orientation error in degrees of one plane.

    Args:
        predicted: (N,) predicted depth, scaled to the truth.
        truth: (N,) true depth.
        rays: (N, 3) rays of the pixels, scaled to z = 1.
        normal: (3,) of the true plane, of any length; NaN where not known.
    """
    flatness, found = fit_plane(predicted[:, None] * rays)
    if normal.isnan().any():
        _, normal = fit_plane(truth[:, None] * rays)
    return torch.stack([100 * flatness, angle_between(normal, found)])


def _check_planes(target: Tensor, planes: Tensor, parameters: Tensor, intrinsics: Tensor) -> None:
    batch, _, height, width = target.shape
    expected = planes.shape == (batch, height, width) and intrinsics.shape == (batch, 3, 3)
    if not expected or parameters.ndim != 3 or parameters.shape[::2] != (batch, 4):
        raise ValueError(
            f"planes must be (B, H, W) = {(batch, height, width)}, plane_parameters (B, P, 4) and intrinsics "
            f"(B, 3, 3), got {tuple(planes.shape)}, {tuple(parameters.shape)} and {tuple(intrinsics.shape)}"
        )
    if planes.min() < 0 or planes.max() > parameters.shape[1]:
        raise ValueError(
            f"planes must be ids 0..{parameters.shape[1]}, the rows of plane_parameters, "
            f"got {int(planes.min())}..{int(planes.max())}"
        )
