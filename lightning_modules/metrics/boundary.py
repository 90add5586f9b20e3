"""Boundary errors: the edges of a predicted depth map against annotated occlusion boundaries."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.feature import canny
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.metrics.image_means import ImageMeans
from lightning_modules.metrics.protocol import CROPPED_SIZE, CROPS

FIGURES = (
    "boundary_acc",
    "boundary_comp",
    "chamfer_pred_to_gt",
    "chamfer_gt_to_pred",
    "boundary_precision",
    "boundary_recall",
    "boundary_f1",
)

#: Share of the frames from which those without a predicted edge are remarked on.
MANY_EMPTY = 0.05

#: Figures that a frame without a predicted edge has from the protocol's constants alone.
DISTANCES = FIGURES[:4]


@dataclass(frozen=True)
class BoundaryProtocol:
    """How depth edges are found and scored; the defaults are those of iBims-1 (Koch et al. 2018).

    Attributes:
        sigma: pixels, Gaussian smoothing before the gradient.
        low: lower hysteresis threshold on the gradient of the depth normalised to [0, 1], an unnormalised 3 x 3 Sobel:
            a slope of s per pixel has magnitude 8 s.
        high: upper hysteresis threshold.
        max_distance: pixels; predicted edges this far from the truth leave the accuracy, and completeness is
            truncated here.
        completeness: ``official``, as the iBims-1 code computes it, or ``directed``, as the paper prints it.
        tolerance: pixels within which an edge counts as found, for precision, recall and F1.
        crop: window of the 480 x 640 frame, cut out before the edges are sought; None is the whole frame here, and the
            evaluation protocol's window in an :class:`~lightning_modules.evaluation.Evaluation`.
        backend: ``skimage``, the reference's Canny on floats, or ``cv2``, faster on 8 bits, with other edges.

    Raises:
        ValueError: unless 0 <= low <= high, sigma > 0, max_distance > 0 and tolerance >= 0, or for an unknown name.
    """

    sigma: float = math.sqrt(2)
    low: float = 0.15
    high: float = 0.30
    max_distance: float = 10.0
    completeness: Literal["official", "directed"] = "official"
    tolerance: float = 1.0
    crop: Literal["none", "eigen", "densedepth", "p2orm"] | None = None
    backend: Literal["skimage", "cv2"] = "skimage"

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise ValueError(f"boundary protocol: need 0 <= low <= high, got low={self.low} and high={self.high}")
        if not (self.sigma > 0 and self.max_distance > 0 and self.tolerance >= 0):
            raise ValueError(
                "boundary protocol: need sigma > 0, max_distance > 0 and tolerance >= 0, got "
                f"sigma={self.sigma}, max_distance={self.max_distance} and tolerance={self.tolerance}"
            )
        choices: dict[str, tuple[str | None, ...]] = {
            "completeness": ("official", "directed"),
            "crop": (None, "none", *CROPS),
            "backend": ("skimage", "cv2"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"boundary protocol: `{name}` is one of {known}, got `{getattr(self, name)}`")

    def prepare(self, prediction: Tensor, target: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Bring a batch to the truth's size and cut the crop out.

        Args:
            prediction: (B, 1, h, w) depth in any unit, any floating dtype.
            target: (B, 1, H, W) bool, true on an annotated boundary.
            valid: (B, 1, H, W) bool, the evaluated pixels; all if None.

        Returns:
            Prediction float64, boundaries on evaluated pixels bool, and evaluated pixels bool, each (B, 1, H', W') on
            the CPU, where edges are sought.

        Raises:
            ValueError: if the shapes do not fit together, the boundaries are not bool, or a crop is asked for on
                another size than 480 x 640.
        """
        valid = torch.ones_like(target, dtype=torch.bool) if valid is None else valid
        self._check(prediction, target, valid)
        prediction = prediction.cpu().double()
        if prediction.shape != target.shape:
            prediction = F.interpolate(prediction, target.shape[-2:], mode="bilinear", align_corners=False)
        rows, columns = CROPS.get(self.crop or "none", (slice(None), slice(None)))
        target, valid = target.cpu(), valid.cpu()
        prediction, target, valid = (part[..., rows, columns] for part in (prediction, target & valid, valid))
        return prediction, target, valid

    def _check(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        maps = prediction.ndim == target.ndim == 4 and prediction.shape[:2] == target.shape[:2]
        if not maps or target.shape[1] != 1 or valid.shape != target.shape:
            raise ValueError(
                "prediction must be (B, 1, h, w), boundaries and valid (B, 1, H, W), got "
                f"{tuple(prediction.shape)}, {tuple(target.shape)} and {tuple(valid.shape)}"
            )
        if target.dtype != torch.bool:
            raise ValueError(f"boundaries must be bool, got {target.dtype}; binarise an 8-bit annotation with `> 127`")
        if self.crop in CROPS and tuple(target.shape[-2:]) != CROPPED_SIZE:
            raise ValueError(
                f"crop `{self.crop}` is defined on 480x640 frames, the boundaries are "
                f"{target.shape[-2]}x{target.shape[-1]}; evaluate at the native size, or set `crop: none`"
            )


def depth_edges(depth: NDArray[np.float64], valid: NDArray[np.bool_], protocol: BoundaryProtocol) -> NDArray[np.bool_]:
    """Canny edges of a depth map, normalised to [0, 1] over its evaluated pixels.

    A depth of exactly 0 means "no prediction" (iBims-1): no edge is found within reach of the smoothing. A constant
    map has no edge.

    Args:
        depth: (H, W), finite where valid.
        valid: (H, W), the evaluated pixels; there are no edges elsewhere.
        protocol: smoothing, thresholds and backend.

    Returns:
        (H, W) bool, true on an edge.
    """
    known = valid & (depth != 0)
    low, high = depth.min(where=known, initial=np.inf), depth.max(where=known, initial=-np.inf)
    if not low < high:
        return np.zeros_like(valid)
    normalised = np.where(known, (depth - low) / (high - low), np.nan)
    if protocol.backend == "cv2":
        return _opencv_edges(normalised, protocol)
    # The mask keeps what is not evaluated out of the smoothing; unknown pixels inside it spread as NaN.
    mask = None if valid.all() else valid  # a full one changes no bit and costs a third more
    return canny(normalised, protocol.sigma, protocol.low, protocol.high, mask=mask)


def _opencv_edges(normalised: NDArray[np.float64], protocol: BoundaryProtocol) -> NDArray[np.bool_]:
    unknown = np.isnan(normalised)
    levels = np.rint(255 * np.where(unknown, 0.0, normalised)).astype(np.uint8)
    radius = math.ceil(3 * protocol.sigma)
    size = (2 * radius + 1, 2 * radius + 1)
    smooth = cv2.GaussianBlur(levels, size, protocol.sigma)
    edges = cv2.Canny(smooth, 255 * protocol.low, 255 * protocol.high, apertureSize=3, L2gradient=True) > 0
    edges[[0, -1]] = edges[:, [0, -1]] = False  # scikit-image finds none on the frame's border
    # The step from a known to an unknown pixel is no edge of the scene; + 1 for the reach of the Sobel filter.
    reach = np.ones((2 * radius + 3, 2 * radius + 3), np.uint8)
    return edges & (cv2.dilate(unknown.astype(np.uint8), reach) == 0)


def per_image_boundary_errors(
    prediction: Tensor, target: Tensor, valid: Tensor, protocol: BoundaryProtocol
) -> dict[str, Tensor]:
    """Boundary errors of each image, as :class:`BoundaryError` defines them.

    Args:
        prediction: (B, 1, H, W) depth, as :meth:`BoundaryProtocol.prepare` returns it.
        target: (B, 1, H, W) bool, annotated boundaries on evaluated pixels.
        valid: (B, 1, H, W) bool, the evaluated pixels.
        protocol: how edges are found and scored.

    Returns:
        One (B,) float64 tensor per figure; NaN for an image without an annotated boundary or with a non-finite
        prediction on an evaluated pixel.
    """
    return _named([_curve(*image, [protocol])[0] for image in _images(prediction, target, valid)])


def boundary_curves(
    prediction: Tensor, target: Tensor, valid: Tensor, protocol: BoundaryProtocol, thresholds: Sequence[float]
) -> list[dict[str, Tensor]]:
    """The figures of :func:`per_image_boundary_errors` at several upper thresholds; the ratio of the two stays.

    Returns:
        One dict per threshold.
    """
    ratio = protocol.low / protocol.high if protocol.high else 0.0
    protocols = [replace(protocol, low=ratio * high, high=high) for high in thresholds]
    curves = [_curve(*image, protocols) for image in _images(prediction, target, valid)]
    return [_named(list(rows)) for rows in zip(*curves, strict=True)]


def _images(prediction: Tensor, target: Tensor, valid: Tensor) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
    """The maps (H, W) of each image."""
    return zip(prediction[:, 0].numpy(), target[:, 0].numpy(), valid[:, 0].numpy(), strict=True)


def _curve(
    depth: NDArray[np.float64],
    truth: NDArray[np.bool_],
    mask: NDArray[np.bool_],
    protocols: Sequence[BoundaryProtocol],
) -> list[tuple[float, ...]]:
    """Figures of one image under each of some protocols; NaN as :func:`per_image_boundary_errors` says."""
    if not truth.any() or not np.isfinite(depth[mask]).all():
        return [(math.nan,) * len(FIGURES)] * len(protocols)
    distance = _distance(truth)  # the same for all
    return [_figures(depth_edges(depth, mask, protocol), truth, distance, protocol) for protocol in protocols]


def _named(rows: list[tuple[float, ...]]) -> dict[str, Tensor]:
    """Name the columns of figures, a row an image."""
    figures = torch.tensor(rows, dtype=torch.float64).view(-1, len(FIGURES))
    return dict(zip(FIGURES, figures.unbind(1), strict=True))


class BoundaryMeans(ImageMeans):
    """Means over images of boundary figures, and over those with a predicted edge; see :class:`BoundaryError`."""

    figures = FIGURES

    nonempty_totals: Tensor
    empty: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_sum("nonempty_totals", len(DISTANCES))
        self.add_count("empty")

    def add_figures(self, figures: dict[str, Tensor], nonfinite: Tensor) -> None:
        """Add a batch whose figures are known.

        Args:
            figures: of :func:`per_image_boundary_errors`.
            nonfinite: (B, 1, H, W) bool, true on evaluated pixels with a non-finite prediction.
        """
        self.add_images(figures, nonfinite)
        # The diagonal is longer than any distance between two pixels.
        empty = figures["chamfer_pred_to_gt"] == _diagonal(nonfinite.shape[-2:])
        self.empty += empty.sum().to(self.empty)
        nonempty = {name: figures[name].where(~empty, torch.nan) for name in DISTANCES}
        self.nonempty_totals += torch.stack(list(nonempty.values())).nansum(1).to(self.nonempty_totals)
        self.per_image = figures | {f"{name}_nonempty": values for name, values in nonempty.items()}

    def compute(self) -> dict[str, Tensor]:
        """The figures and counts of the class docstring, scalars; NaN where no image has them."""
        means = self.nonempty_totals / (self.images - self.empty)
        means = means.where(self.nonfinite == 0, torch.nan)  # as all others, though the sum passes over NaN
        nonempty = {f"{name}_nonempty": mean for name, mean in zip(DISTANCES, means, strict=True)}
        counts = {"boundary_empty": self.empty.to(means.dtype), "boundary_images": self.images.to(means.dtype)}
        return super().compute() | nonempty | counts


class BoundaryError(BoundaryMeans):
    r"""Boundary errors against annotated occlusion boundaries (Koch et al. 2018, section 3.2; iBims-1 code).

    With predicted edges E, annotated boundaries Y, the distance :math:`D_S` of a pixel to the nearest of S in pixels,
    :math:`t` = ``max_distance`` and E' the pixels of E where :math:`D_Y < t`:

    ======================  ======================================================================  ======
    ``boundary_acc``        mean of D_Y over E'                                                     lower
    ``boundary_comp``       ``official``: (sum over E of min(D_Y, t) + sum over Y of min(D_E, t))   lower
                            / (\|E\| + \|Y\|); ``directed``: mean of min(D_E, t) over Y
    ``chamfer_pred_to_gt``  mean of D_Y over E                                                      lower
    ``chamfer_gt_to_pred``  mean of D_E over Y                                                      lower
    ``boundary_precision``  share of E with D_Y <= tolerance                                        higher
    ``boundary_recall``     share of Y with D_E <= tolerance                                        higher
    ``boundary_f1``         harmonic mean of the two                                                higher
    ======================  ======================================================================  ======

    Each is a mean over images. If E' is empty, accuracy and completeness are t. If E is empty, the untruncated
    distances are the diagonal of the evaluated window, the longest there is, and precision, recall and F1 are 0: a few
    such images decide an untruncated mean. So ``boundary_empty`` counts them, and the four distances are given once
    more, with ``_nonempty`` after their names, as means over the other images.

    ``excluded`` counts images without an annotated boundary, ``nonfinite`` NaN or infinite predictions on evaluated
    pixels, as :class:`ImageMeans` explains.

    Args:
        protocol: how edges are found and scored.
        kwargs: see :class:`torchmetrics.Metric`.
    """

    def __init__(self, protocol: BoundaryProtocol | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.protocol = protocol or BoundaryProtocol()

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            prediction: (B, 1, h, w) depth in any unit, at any size and floating dtype.
            target: (B, 1, H, W) bool, true on an annotated boundary.
            valid: (B, 1, H, W) bool, the evaluated pixels; all if None.

        Raises:
            ValueError: as :meth:`BoundaryProtocol.prepare`.
        """
        prediction, target, valid = self.protocol.prepare(prediction, target, valid)
        self.add_figures(
            per_image_boundary_errors(prediction, target, valid, self.protocol),
            valid & ~prediction.isfinite(),
        )


def empty_remark(figures: Mapping[str, float]) -> str:
    """What a table says where many frames have no predicted edge; empty where there are few.

    Args:
        figures: those of :class:`BoundaryError` by name; others are ignored, missing ones mean few.
    """
    empty, images = figures.get("boundary_empty", 0.0), figures.get("boundary_images", math.nan)
    if not empty > MANY_EMPTY * images:
        return ""
    without = [f"{name} {figures[f'{name}_nonempty']:.2f}" for name in DISTANCES[2:]]
    return (
        f"no edge found in {empty:.0f} of {images:.0f} frames ({empty / images:.0%}), which decide the untruncated "
        f"distances; without them, px: {', '.join(without)}"
    )


def _diagonal(size: Sequence[int]) -> float:
    """Pixels, the longest distance in a window (H, W)."""
    return math.hypot(*size)


def _figures(
    edges: NDArray[np.bool_], truth: NDArray[np.bool_], distance: NDArray[np.float32], protocol: BoundaryProtocol
) -> tuple[float, ...]:
    """The figures of one image with an annotated boundary, in the order of `FIGURES`; ``distance`` is to the truth."""
    limit = protocol.max_distance
    if not edges.any():
        diagonal = _diagonal(truth.shape)
        return (limit, limit, diagonal, diagonal, 0.0, 0.0, 0.0)
    to_truth, to_edges = _exact(distance[edges]), _exact(_distance(edges)[truth])
    accuracy = completeness = limit
    near = to_truth < limit
    if near.any():
        accuracy = to_truth[near].mean()
        missed = to_edges.clip(max=limit)
        both = np.concatenate([to_truth.clip(max=limit), missed])
        completeness = (both if protocol.completeness == "official" else missed).mean()
    precision, recall = (to_truth <= protocol.tolerance).mean(), (to_edges <= protocol.tolerance).mean()
    f1 = 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
    return (accuracy, completeness, to_truth.mean(), to_edges.mean(), precision, recall, f1)


def _distance(goals: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance of each pixel to the nearest goal, not quite exact; there is at least one goal."""
    transform = cv2.distanceTransform((~goals).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(transform, dtype=np.float32)


def _exact(distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """Undo OpenCV's rounding to float32: squared distances are integers."""
    return np.sqrt(np.rint(np.square(distances, dtype=np.float64)))
