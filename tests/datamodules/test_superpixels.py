import pickle

import cv2
import numpy as np
import pytest

from datamodules.superpixels import GridSuperpixels, SeedsSuperpixels, SlicSuperpixels


def picture(height, width, seed=0):
    noise = np.random.default_rng(seed).integers(0, 255, (height // 12 + 1, width // 12 + 1, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(
    ("height", "width", "count"), [(384, 384, 576), (480, 640, 1200), (224, 224, 196), (128, 128, 64), (96, 128, 48)]
)
def test_seeds_gives_one_superpixel_per_square(height, width, count):
    seeds = SeedsSuperpixels(16)
    ids = seeds(picture(height, width))
    assert seeds.count(height, width) == count
    assert ids.dtype == np.int64
    assert np.array_equal(np.unique(ids), np.arange(count))


def test_seeds_asked_for_a_number_that_does_not_fit_gives_another():
    """Why the number is derived from the size: OpenCV makes 480 of 576 at 480x640."""
    asked = cv2.ximgproc.createSuperpixelSEEDS(640, 480, 3, 576, 1)
    assert asked.getNumberOfSuperpixels() == 480


@pytest.mark.parametrize("kind", [SeedsSuperpixels, SlicSuperpixels, GridSuperpixels])
def test_contract(kind):
    superpixels = kind(8)
    image = picture(48, 64)
    ids = superpixels(image)
    assert ids.shape == (48, 64)
    assert ids.min() >= 0
    assert ids.max() < superpixels.count(48, 64) == 48
    np.testing.assert_array_equal(ids, superpixels(image))  # a second call sees nothing of the first
    np.testing.assert_array_equal(ids, pickle.loads(pickle.dumps(superpixels))(image))


def test_grid_numbers_squares_row_by_row():
    ids = GridSuperpixels(16)(picture(32, 48))
    assert ids[0, 0] == 0
    assert ids[15, 47] == 2
    assert ids[16, 0] == 3


def test_sizes_that_seeds_cannot_tile_are_refused():
    with pytest.raises(ValueError, match="100"):
        SeedsSuperpixels(16).check(100, 128)
