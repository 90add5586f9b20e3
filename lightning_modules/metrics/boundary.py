"""Boundary errors: the edges of a predicted depth map against annotated occlusion boundaries."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.metrics.boundary_protocol import BoundaryProtocol
from lightning_modules.metrics.depth_edges import depth_edges
from lightning_modules.metrics.depth_metric import ReadsDepth
from lightning_modules.metrics.image_means import ImageMeans
from lightning_modules.metrics.metric_info import Infos, MetricInfo, higher, lower
from lightning_modules.metrics.protocol import EvalProtocol, Prepared

KEYS = {
    "boundary_acc": lower("px"), "boundary_comp": lower("px"), "chamfer_pred_to_gt": lower("px"),
    "chamfer_gt_to_pred": lower("px"), "boundary_precision": higher(), "boundary_recall": higher(),
    "boundary_f1": higher(),
}  # fmt: skip

#: Share of the frames from which those without a predicted edge are remarked on.
MANY_EMPTY = 0.05

#: Metrics that a frame without a predicted edge has from the protocol's constants alone.
DISTANCES = tuple(KEYS)[:4]


def per_image_boundary_errors(
    prediction: Tensor, target: Tensor, valid: Tensor, protocol: BoundaryProtocol
) -> dict[str, Tensor]:
    """Return the boundary errors of each image, as :class:`BoundaryError` defines them.

    Args:
        prediction: (B, 1, H, W) depth, as :meth:`BoundaryProtocol.prepare` returns it.
        target: (B, 1, H, W) bool, annotated boundaries on evaluated pixels.
        valid: (B, 1, H, W) bool, the evaluated pixels.
        protocol: how edges are found and scored.

    Returns:
        One (B,) float64 tensor a metric; NaN for an image without an annotated boundary or with a non-finite
        prediction on an evaluated pixel.
    """
    return _named([_curve(*image, [protocol])[0] for image in _images(prediction, target, valid)])


def boundary_curves(
    prediction: Tensor, target: Tensor, valid: Tensor, protocol: BoundaryProtocol, thresholds: Sequence[float]
) -> list[dict[str, Tensor]]:
    """Return what :func:`per_image_boundary_errors` does at several upper thresholds; the ratio of the two stays.

    Returns:
        One dict a threshold.
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
    """Values of one image under each of some protocols; NaN as :func:`per_image_boundary_errors` says."""
    if not truth.any() or not np.isfinite(depth[mask]).all():
        return [(math.nan,) * len(KEYS)] * len(protocols)
    distance = _distance(truth)  # the same for all
    return [_errors_of(depth_edges(depth, mask, protocol), truth, distance, protocol) for protocol in protocols]


def _named(rows: list[tuple[float, ...]]) -> dict[str, Tensor]:
    """Name the columns of values, a row an image."""
    values = torch.tensor(rows, dtype=torch.float64).view(-1, len(KEYS))
    return dict(zip(KEYS, values.unbind(1), strict=True))


class BoundaryMeans(ImageMeans):
    """Means over images of boundary errors, and over those with a predicted edge; see :class:`BoundaryError`."""

    nonempty_totals: Tensor
    empty: Tensor

    group = "boundary"
    info: ClassVar[Infos] = {
        **KEYS,
        **{f"{key}_nonempty": lower("px", detail=True) for key in DISTANCES},
        "boundary_empty": MetricInfo(),
        "boundary_images": MetricInfo(detail=True),
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_sum("nonempty_totals", len(DISTANCES))
        self.add_count("empty")

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys of all errors, in order."""
        return tuple(KEYS)

    def add_values(self, values: dict[str, Tensor], nonfinite: Tensor) -> None:
        """Add a batch whose errors are known.

        Args:
            values: of :func:`per_image_boundary_errors`.
            nonfinite: (B, 1, H, W) bool, true on evaluated pixels with a non-finite prediction.
        """
        self.add_images(values, nonfinite)
        # The diagonal is longer than any distance between two pixels.
        empty = values["chamfer_pred_to_gt"] == _diagonal(nonfinite.shape[-2:])
        self.empty += empty.sum().to(self.empty)
        nonempty = {key: values[key].where(~empty, torch.nan) for key in DISTANCES}
        self.nonempty_totals += torch.stack(list(nonempty.values())).nansum(1).to(self.nonempty_totals)
        self.per_image = values | {f"{key}_nonempty": distances for key, distances in nonempty.items()}

    def means(self) -> dict[str, Tensor]:
        """Return the metrics of the class docstring, scalars; NaN where no image has them."""
        nonempty = self.nonempty_totals / (self.images - self.empty)
        return super().means() | {f"{key}_nonempty": mean for key, mean in zip(DISTANCES, nonempty, strict=True)}

    def numbers(self) -> dict[str, Tensor]:
        """Return the number of images without a predicted edge, and that of all."""
        return {"boundary_empty": self.empty, "boundary_images": self.images}


class BoundaryError(ReadsDepth, BoundaryMeans):
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

    needs = ("occlusion",)
    options = BoundaryProtocol

    def __init__(self, protocol: BoundaryProtocol | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.protocol = protocol or BoundaryProtocol()

    @classmethod
    def for_data(cls, protocol: EvalProtocol, classes: int, options: Mapping[str, Any]) -> Self:
        """Return the metric with the fields of a :class:`BoundaryProtocol`, in the window of the evaluation's own."""
        boundary = BoundaryProtocol(**options)
        return cls(replace(boundary, crop=protocol.crop) if boundary.crop is None else boundary)

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
        self.add_values(
            per_image_boundary_errors(prediction, target, valid, self.protocol),
            valid & ~prediction.isfinite(),
        )

    def update_prepared(self, prepared: Prepared, *truth: Tensor) -> None:
        """Add a batch, aligned and clamped: edges are sought in the very map that the other metrics are about."""
        self.update(prepared.prediction, *truth)


def empty_remark(metrics: Mapping[str, float]) -> str:
    """Return what a table says where many frames have no predicted edge; empty where there are few.

    Args:
        metrics: those of :class:`BoundaryError` by name; others are ignored, missing ones mean few.
    """
    empty, images = metrics.get("boundary_empty", 0.0), metrics.get("boundary_images", math.nan)
    if not empty > MANY_EMPTY * images:
        return ""
    without = [f"{name} {metrics[f'{name}_nonempty']:.2f}" for name in DISTANCES[2:]]
    return (
        f"no edge found in {empty:.0f} of {images:.0f} frames ({empty / images:.0%}), which decide the untruncated "
        f"distances; without them, px: {', '.join(without)}"
    )


def _diagonal(size: Sequence[int]) -> float:
    """Pixels, the longest distance in a window (H, W)."""
    return math.hypot(*size)


def _errors_of(
    edges: NDArray[np.bool_], truth: NDArray[np.bool_], distance: NDArray[np.float32], protocol: BoundaryProtocol
) -> tuple[float, ...]:
    """Return the errors of one image with an annotated boundary, in the order of `KEYS`, given distances to it."""
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
