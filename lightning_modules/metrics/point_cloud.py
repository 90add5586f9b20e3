"""Chamfer distances and F-scores between the predicted and the true point cloud."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from lightning_modules.metrics.exact_sums import ExactSums
from lightning_modules.metrics.protocol import EvalProtocol

THRESHOLDS = (0.05, 0.10)  # metres


class PointCloudChamfer(ExactSums):
    r"""Nearest-neighbour distances between two back-projected depth maps (SHED, Table 3).

    Both clouds hold the same valid pixels, each at :math:`d\,K^{-1}(x, y, 1)^T`, the ray scaled to z = 1 and pixel
    centres at integers. Figures are means over images:

    ===========================  ================================================================  ======
    ``chamfer3d_precision``      mean distance of predicted points to the nearest true one, metres  lower
    ``chamfer3d_recall``         mean distance of true points to the nearest predicted one, metres  lower
    ``chamfer3d_fscore_<t>cm``   2 P R / (P + R), P and R the shares of predicted and true points   higher
                                 nearer than t to the other cloud (Knapitsch et al. 2017)
    ===========================  ================================================================  ======

    ``excluded`` counts images without a valid pixel. ``nonfinite`` counts NaN or infinite predictions on valid pixels:
    a single one makes every figure NaN.

    Args:
        protocol: range, crop and alignment; figures are in metres whatever its ``unit``.
        thresholds: of the F-scores, metres.
        stride: every how many rows and columns a pixel is taken, from the first; only these pixels are evaluated.
        squared: precision and recall are means of squared distances, square metres (Fan et al. 2017).
        workers: threads of the nearest-neighbour search, -1 for all cores.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if ``stride`` is below 1 or a threshold is not positive.
    """

    totals: Tensor
    images: Tensor
    excluded: Tensor
    nonfinite: Tensor

    def __init__(
        self,
        protocol: EvalProtocol,
        thresholds: Sequence[float] = THRESHOLDS,
        stride: int = 1,
        squared: bool = False,
        workers: int = -1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if stride < 1 or not all(threshold > 0 for threshold in thresholds):
            raise ValueError(f"need stride >= 1 and thresholds > 0 (metres), got {stride} and {tuple(thresholds)}")
        self.protocol = protocol
        self.thresholds = tuple(thresholds)
        self.stride = stride
        self.squared = squared
        self.workers = workers
        self.add_sum("totals", 2 + len(self.thresholds))
        self.add_count("images")
        self.add_count("excluded")
        self.add_count("nonfinite")

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor, intrinsics: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: (B, 1, h, w) depth in metres, at any size and floating dtype.
            target: (B, 1, H, W) true depth in metres.
            valid: (B, 1, H, W) bool, true where the truth is measured.
            intrinsics: (B, 3, 3) camera matrices of the truth's grid, any invertible ones.

        Raises:
            ValueError: as :meth:`EvalProtocol.prepare`, or if ``intrinsics`` are not (B, 3, 3), cannot be inverted or
                turn a pixel away from the scene.
        """
        prediction, target, valid = self.protocol.prepare(prediction, target, valid)
        if intrinsics.shape != (len(target), 3, 3):
            raise ValueError(f"intrinsics must be (B, 3, 3) = ({len(target)}, 3, 3), got {tuple(intrinsics.shape)}")
        depths = torch.cat([prediction, target], dim=1).cpu().double() * self.protocol.unit
        rows_of_images = []
        for pair, mask, camera in zip(depths, valid[:, 0].cpu(), intrinsics.cpu().double(), strict=True):
            pixels = mask[:: self.stride, :: self.stride].nonzero() * self.stride
            rows, columns = pixels.unbind(1)
            values = pair[:, rows, columns]  # (2, N)
            nonfinite = (~values[0].isfinite()).sum()
            figures = torch.full(self.totals.shape, torch.nan, dtype=torch.float64)
            if len(pixels) and not nonfinite:
                clouds = values[..., None] * pixel_rays(columns, rows, camera, radial=self.protocol.radial)
                figures = self._figures(*clouds.numpy())
            rows_of_images.append(figures)
            if not len(pixels):
                self.excluded += 1
                continue
            self.totals += figures.to(self.totals)
            self.images += 1
            self.nonfinite += nonfinite.to(self.nonfinite)
        self.per_image = dict(zip(self._names, torch.stack(rows_of_images, dim=1), strict=True))

    def compute(self) -> dict[str, Tensor]:
        """The figures and counts of the class docstring, scalars; NaN if no image had a valid pixel."""
        means = self.totals / self.images
        counts = {"excluded": self.excluded.to(means.dtype), "nonfinite": self.nonfinite.to(means.dtype)}
        return dict(zip(self._names, means, strict=True)) | counts

    @property
    def _names(self) -> tuple[str, ...]:
        scores = (f"chamfer3d_fscore_{100 * threshold:g}cm" for threshold in self.thresholds)
        return ("chamfer3d_precision", "chamfer3d_recall", *scores)

    def _figures(self, prediction: NDArray[np.float64], truth: NDArray[np.float64]) -> Tensor:
        """(2 + T,) figures of two (N, 3) clouds in metres."""
        to_truth, to_prediction = (
            nearest_distances(points, cloud, self.workers)
            for points, cloud in ((prediction, truth), (truth, prediction))
        )
        power = 2 if self.squared else 1
        scores = (_f_score(float(np.mean(to_truth < t)), float(np.mean(to_prediction < t))) for t in self.thresholds)
        return torch.tensor([np.mean(to_truth**power), np.mean(to_prediction**power), *scores], dtype=torch.float64)


def nearest_distances(
    points: NDArray[np.float64], cloud: NDArray[np.float64], workers: int = -1
) -> NDArray[np.float64]:
    """Distance of each point to the nearest of a cloud.

    SciPy's own threads read the arrays of a frame that a signal may have ended, and crash; a pool's hold theirs.

    Args:
        points: (N, 3).
        cloud: (M, 3).
        workers: threads, -1 for all cores.

    Returns:
        (N,) distances, in the unit of the points.
    """
    # Depth maps are sampled so evenly that small, balanced and shrunken cells cost more than they save.
    tree = cKDTree(cloud, 32, compact_nodes=False, balanced_tree=False)
    threads = (os.cpu_count() or 1) if workers == -1 else workers
    if threads == 1 or len(points) < threads:
        return cast(NDArray[np.float64], tree.query(points)[0])
    with ThreadPoolExecutor(threads) as pool:
        parts = pool.map(lambda part: tree.query(part)[0], np.array_split(points, threads))
        return np.concatenate(list(parts))


def _f_score(precision: float, recall: float) -> float:
    """Harmonic mean of two shares; 0 if both are."""
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def pixel_rays(columns: Tensor, rows: Tensor, camera: Tensor, *, radial: bool = False) -> Tensor:
    """(N, 3) rays K^-1 (x, y, 1) of pixels, scaled to z = 1, or to length 1 for depth that is a distance; float64."""
    pixels = torch.stack([columns, rows, torch.ones_like(rows)]).double()
    rays, singular = torch.linalg.solve_ex(camera, pixels)
    if singular or not (rays[2] > 0).all():
        raise ValueError(
            f"intrinsics {camera.tolist()}: singular, or a pixel looks backwards; K maps (x, y, z > 0) to pixels"
        )
    return (rays / (rays.norm(dim=0) if radial else rays[2])).T
