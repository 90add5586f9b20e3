"""Chamfer distances and F-scores between the predicted and the true point cloud."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_modules.metrics.depth_metric import DepthMetric
from lightning_modules.metrics.image_means import ImageMeans
from lightning_modules.metrics.metric_info import Infos, higher, lower
from lightning_modules.metrics.nearest_tiles import compact_order, distances_by_groups
from lightning_modules.metrics.protocol import EvalProtocol, Prepared

THRESHOLDS = (0.05, 0.10)  # metres

#: Key of an F-score, by its threshold in centimetres.
F_SCORE = "chamfer3d_fscore_{threshold:g}cm"


class PointCloudChamfer(DepthMetric, ImageMeans):
    r"""Nearest-neighbour distances between two back-projected depth maps (SHED, Table 3).

    Both clouds hold the same valid pixels, each at :math:`d\,K^{-1}(x, y, 1)^T`, the ray scaled to z = 1 and pixel
    centres at integers. All are means over images:

    ===========================  ================================================================  ======
    ``chamfer3d_precision``      mean distance of predicted points to the nearest true one, metres  lower
    ``chamfer3d_recall``         mean distance of true points to the nearest predicted one, metres  lower
    ``chamfer3d_fscore_<t>cm``   2 P R / (P + R), P and R the shares of predicted and true points   higher
                                 nearer than t to the other cloud (Knapitsch et al. 2017)
    ===========================  ================================================================  ======

    ``excluded`` counts images without a valid pixel, ``nonfinite`` NaN or infinite predictions on valid pixels, as
    :class:`CountedMeans` explains.

    All pixels of a frame of NYUv2 take one core of a CPU 0.2 to 0.4 s, both ways: good predictions, constant depth and
    predictions that are a metre off alike. A GPU searches in pieces that suit it (:mod:`.nearest_tiles`).

    Args:
        protocol: range, crop and alignment; distances are in metres whatever its ``unit``.
        thresholds: of the F-scores, metres.
        stride: every how many rows and columns a pixel is taken, from the first; only these pixels are evaluated.
        squared: precision and recall are means of squared distances, square metres (Fan et al. 2017).
        workers: threads of the nearest-neighbour search on the CPU, -1 for all cores.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if ``stride`` is below 1 or a threshold is not positive.
    """

    group = "cloud"
    needs = ("intrinsics",)
    info: ClassVar[Infos] = {"chamfer3d_precision": lower("m"), "chamfer3d_recall": lower("m"), F_SCORE: higher()}
    defaults: ClassVar[Mapping[str, Any]] = {"stride": 4}  # all pixels cost about as much as a forward pass on a CPU

    def __init__(
        self,
        protocol: EvalProtocol,
        thresholds: Sequence[float] = THRESHOLDS,
        stride: int = 1,
        squared: bool = False,
        workers: int = -1,
        **kwargs: Any,
    ) -> None:
        self.thresholds = tuple(thresholds)
        super().__init__(protocol, **kwargs)
        if stride < 1 or not all(threshold > 0 for threshold in thresholds):
            raise ValueError(f"need stride >= 1 and thresholds > 0 (metres), got {stride} and {tuple(thresholds)}")
        self.stride = stride
        self.squared = squared
        self.workers = workers

    @property
    def keys(self) -> tuple[str, ...]:
        """Return distances, then F-scores."""
        scores = (F_SCORE.format(threshold=100 * threshold) for threshold in self.thresholds)
        return ("chamfer3d_precision", "chamfer3d_recall", *scores)

    def add(self, prepared: Prepared, intrinsics: Tensor) -> None:
        """Add a prepared batch.

        Args:
            prepared: the batch.
            intrinsics: (B, 3, 3) camera matrices of the truth's grid, any invertible ones.

        Raises:
            ValueError: if ``intrinsics`` are not (B, 3, 3), cannot be inverted or turn a pixel away from the scene.
        """
        check_intrinsics(prepared.target, intrinsics)
        on_gpu = prepared.target.is_cuda
        maps = metric_depths(prepared, self.protocol, prepared.target.device if on_gpu else "cpu")
        rows_of_images, spoilt = [], []
        for pair, mask, camera in zip(*maps, intrinsics.to(maps[0].device).double(), strict=True):
            pixels = mask[:: self.stride, :: self.stride].nonzero() * self.stride
            rows, columns = pixels.unbind(1)
            values = pair[:, rows, columns]  # (2, N)
            nonfinite = (~values[0].isfinite()).sum()
            measured = torch.full((len(self.keys),), torch.nan, dtype=torch.float64, device=values.device)
            if len(pixels) and not nonfinite:
                clouds = values[..., None] * pixel_rays(columns, rows, camera, radial=self.protocol.radial)
                measured = self._values(*(distances_in_groups if on_gpu else self._distances)(rows, columns, *clouds))
            rows_of_images.append(measured)
            spoilt.append(nonfinite)
        values_of_images = torch.stack(rows_of_images, dim=1)
        self.add_images(dict(zip(self.keys, values_of_images, strict=True)), torch.stack(spoilt))

    def _distances(self, rows: Tensor, columns: Tensor, prediction: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return what :func:`distances_in_groups` does, on the CPU."""
        from lightning_modules.metrics.nearest_points import nearest_distances  # Numba takes half a second to import

        to_truth, to_prediction = nearest_distances(prediction.numpy(), truth.numpy(), self.workers)
        return torch.from_numpy(to_truth), torch.from_numpy(to_prediction)

    def _values(self, to_truth: Tensor, to_prediction: Tensor) -> Tensor:
        """Return the (2 + T,) values of distances in metres, (N,) of predicted points and (N,) of true ones."""
        power = 2 if self.squared else 1
        means = [distances.pow(power).mean() for distances in (to_truth, to_prediction)]
        near = ([(d < t).double().mean() for d in (to_truth, to_prediction)] for t in self.thresholds)
        return torch.stack([*means, *(_f_score(*shares) for shares in near)])


def distances_in_groups(rows: Tensor, columns: Tensor, prediction: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distances of predicted points (N, 3) to the true ones and the other way round, in any order.

    Args:
        rows: (N,) of the pixels.
        columns: (N,) of the pixels.
        prediction: (N, 3) points of the pixels.
        truth: (N, 3) points of the pixels.
    """
    first, second = (points[compact_order(rows, columns, points[:, 2])] for points in (prediction, truth))
    return distances_by_groups(first, second), distances_by_groups(second, first)


def metric_depths(
    prepared: Prepared, protocol: EvalProtocol, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Return predicted and true depth (B, 2, H, W) in metres, float64, and valid pixels (B, H, W), on a device."""
    depths = torch.cat([prepared.prediction, prepared.target], dim=1).to(device).double() * protocol.unit
    return depths, prepared.valid[:, 0].to(device)


def check_intrinsics(target: Tensor, intrinsics: Tensor) -> None:
    """Check that there is a camera matrix (3, 3) for each image of a truth (B, 1, H, W).

    Raises:
        ValueError: if not.
    """
    if intrinsics.shape != (len(target), 3, 3):
        raise ValueError(f"intrinsics must be (B, 3, 3) = ({len(target)}, 3, 3), got {tuple(intrinsics.shape)}")


def _f_score(precision: Tensor, recall: Tensor) -> Tensor:
    """Harmonic mean of two shares, scalars; 0 if both are."""
    return 2 * precision * recall / (precision + recall).clamp(min=torch.finfo(torch.float64).tiny)


def pixel_rays(columns: Tensor, rows: Tensor, camera: Tensor, *, radial: bool = False) -> Tensor:
    """Return the (N, 3) float64 rays K^-1 (x, y, 1) of pixels, of z = 1, or of length 1 for radial depth."""
    inverse, singular = torch.linalg.inv_ex(camera)
    rays = torch.stack([columns, rows, torch.ones_like(rows)], dim=1).double() @ inverse.T
    if singular or not (rays[:, 2] > 0).all():
        raise ValueError(
            f"intrinsics {camera.tolist()}: singular, or a pixel looks backwards; K maps (x, y, z > 0) to pixels"
        )
    return rays.div_(rays.norm(dim=1, keepdim=True) if radial else rays[:, 2:].clone())
