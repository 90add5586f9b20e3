"""Discs on label maps against loops over pairs of pixels, and SciPy's opening class by class."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from lightning_modules.metrics.label_discs import near_other_label, opening_residue, uniform_discs


def label_map(ids: int, size: tuple[int, int] = (19, 26), seed: int = 0) -> np.ndarray:
    """Blobs of labels with unlabelled ones between them, int64."""
    noise = np.random.default_rng(seed).normal(size=(ids, *size))
    return np.argmax([ndimage.gaussian_filter(layer, 2.2) for layer in noise], axis=0)


def around(labels: np.ndarray, radius: float, row: int, column: int) -> set[int]:
    """Labels of the pixels of the frame within a radius of one."""
    rows, columns = np.indices(labels.shape)
    return set(labels[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2].tolist())


@pytest.mark.parametrize("radius", [1, 1.5, 2.3, 5])
@pytest.mark.parametrize("scale", [1, 100, 9000])  # ids of 8 bits, and of 16
def test_against_every_pair_of_pixels(radius, scale):
    labels = label_map(6) * scale
    batch = torch.from_numpy(np.stack([labels, labels[::-1].copy()]))
    near, uniform = near_other_label(batch, radius), uniform_discs(batch, radius)
    for image, ids in enumerate(batch.numpy()):
        for place in np.ndindex(ids.shape):
            own, found = int(ids[place]), around(ids, radius, *place)
            assert near[image][place] == (own > 0 and bool(found - {0, own}))
            assert uniform[image][place] == (own > 0 and len(found) == 1)


@pytest.mark.parametrize("radius", [1, 2, 3.4])
def test_the_opening_is_that_of_every_label_by_itself(radius):
    labels = label_map(5, seed=3)
    reach = math.floor(radius)
    rows, columns = np.indices((2 * reach + 1, 2 * reach + 1)) - reach
    disc = rows**2 + columns**2 <= radius**2
    thin = np.zeros(labels.shape, bool)
    for id_ in range(1, 5):
        region = labels == id_
        # what is outside of the frame lets every disc in, but no disc begins there
        inside = ndimage.binary_erosion(region, disc, border_value=1)
        thin |= region & ~ndimage.binary_dilation(inside, disc)
    assert thin.any()
    assert torch.equal(opening_residue(torch.from_numpy(labels)[None], radius)[0], torch.from_numpy(thin))


def test_a_pole_in_front_of_a_wall_is_thin_and_the_wall_is_not():
    labels = torch.ones(1, 40, 60, dtype=torch.int64)
    labels[..., 30:33] = 7
    thin = opening_residue(labels, 4)
    assert torch.equal(thin, labels == 7)
    assert not opening_residue(labels, 1).any()  # a disc of three pixels fits in


def test_a_gap_without_labels_hides_no_border_and_is_none():
    labels = torch.ones(1, 9, 30, dtype=torch.int64)
    labels[..., 10:12] = 0
    assert not near_other_label(labels, 5).any()
    labels[..., 12:] = 2
    near = near_other_label(labels, 5)[0, 4]
    assert near.nonzero().flatten().tolist() == [7, 8, 9, 12, 13, 14]


def test_maps_of_one_label_or_none():
    for labels in (torch.zeros(1, 5, 6, dtype=torch.int64), torch.full((1, 5, 6), 3)):
        assert not near_other_label(labels, 3).any()
        assert not opening_residue(labels, 3).any()
        assert torch.equal(uniform_discs(labels, 3), labels > 0)


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (torch.zeros(5, 6), "must be integers"),
        (torch.full((1, 5, 6), -1), "must be integers >= 0"),
        (torch.zeros(1, 5, 6), "got torch.float32"),
        (torch.full((1, 5, 6), 65535), "at most 65534, got 65535"),
    ],
)
def test_bad_labels_are_refused(labels, complaint):
    with pytest.raises(ValueError, match=complaint):
        near_other_label(labels, 2)
