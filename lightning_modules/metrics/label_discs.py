"""Which pixels of a label map have one label around them: borders, thin parts and insides, whatever the classes are."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Ids below it fit into what the filters are fast for; the next one stands for "no label" where a minimum is taken.
LARGEST_ID = np.iinfo(np.uint16).max - 1


def near_other_label(labels: Tensor, radius: float) -> Tensor:
    """Return labelled pixels with a pixel of another label within a radius.

    Unlabelled pixels are no label: a gap between two labels that is narrower than the radius does not hide their
    border, and beside unlabelled pixels alone there is no border.

    Args:
        labels: (B, H, W) int64 ids, 0 = none, at most :data:`LARGEST_ID`.
        radius: pixels between the centres of two pixels.

    Returns:
        (B, H, W) bool.

    Raises:
        ValueError: for labels of another type, shape or range.
    """
    disc = _disc(radius)

    def near(ids: NDArray) -> NDArray[np.bool_]:
        nearest = cv2.erode(np.where(ids == 0, np.iinfo(ids.dtype).max, ids), disc)
        return (ids > 0) & (nearest != cv2.dilate(ids, disc))

    return _each(labels, near)


def uniform_discs(labels: Tensor, radius: float) -> Tensor:
    """Return the labelled pixels around which all pixels of the frame within a radius have their label.

    Here unlabelled pixels are as another label.
    """
    disc = _disc(radius)
    return _each(labels, lambda ids: _uniform(ids, disc))


def opening_residue(labels: Tensor, radius: float) -> Tensor:
    """Return the labelled pixels that the morphological opening of their label's region by a disc removes.

    They are where no disc of this radius, or the part of it inside the frame, fits into the label's region: small
    things, thin parts of things, and sharp corners.
    """
    disc = _disc(radius)
    # One opening serves all labels at once: a disc that fits lies within a single one.
    return _each(labels, lambda ids: (ids > 0) & (cv2.dilate(_uniform(ids, disc).astype(np.uint8), disc) == 0))


def _uniform(ids: NDArray, disc: NDArray[np.uint8]) -> NDArray[np.bool_]:
    # Outside the frame OpenCV leaves the disc out.
    return (ids > 0) & (cv2.erode(ids, disc) == cv2.dilate(ids, disc))


def _disc(radius: float) -> NDArray[np.uint8]:
    reach = np.arange(-int(radius), int(radius) + 1)
    return (np.square(reach)[:, None] + np.square(reach) <= radius**2).astype(np.uint8)


def _each(labels: Tensor, select: Callable[[NDArray], NDArray[np.bool_]]) -> Tensor:
    """Select pixels image by image on the CPU, in the smallest type that holds the ids."""
    if labels.ndim != 3 or labels.is_floating_point() or (labels.numel() and labels.min() < 0):
        raise ValueError(f"labels must be integers >= 0 of shape (B, H, W), got {labels.dtype} {tuple(labels.shape)}")
    largest = int(labels.max()) if labels.numel() else 0
    if largest > LARGEST_ID:
        raise ValueError(f"label ids must be at most {LARGEST_ID}, got {largest}")
    small = np.uint8 if largest < np.iinfo(np.uint8).max else np.uint16
    selected = [select(np.ascontiguousarray(ids.astype(small))) for ids in labels.cpu().numpy()]
    return torch.from_numpy(np.stack(selected)).to(labels.device)
