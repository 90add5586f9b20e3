import pickle

import cv2
import numpy as np
import pytest
import torch

from datamodules.pipeline.superpixels import GridSuperpixels, SeedsSuperpixels, SlicSuperpixels


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


@pytest.fixture(scope="module")
def whole():
    """A frame and its superpixels."""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 255, (15, 20, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    return SeedsSuperpixels(8), torch.from_numpy(SeedsSuperpixels(8)(image))


def test_superpixels_of_the_whole_view_are_the_frames(whole):
    algorithm, ids = whole
    torch.testing.assert_close(algorithm.of_view(ids, torch.eye(3), (120, 160)), ids)


@pytest.mark.parametrize(("top", "left"), [(0, 0), (16, 24), (5, 11), (56, 96), (13, 3)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_superpixels_of_a_crop_are_the_frames_renumbered(whole, top, left, mirrored):
    """In the middle of a crop two pixels are together exactly when they are in the frame; ids are in 0..63."""
    algorithm, ids = whole
    view, pixel_map = ids[top : top + 64, left : left + 64], torch.eye(3)
    pixel_map[0, 2], pixel_map[1, 2] = -left, -top
    if mirrored:
        view = view.flip(1)
        pixel_map = torch.tensor([[-1.0, 0, 63], [0, 1, 0], [0, 0, 1]]) @ pixel_map
    made = algorithm.of_view(view, pixel_map, (120, 160))
    assert made.shape == (64, 64)
    assert made.min() >= 0
    assert made.max() < algorithm.count(64, 64) == 64
    assert len(made.unique()) >= 49  # cells that lie half outside may end up in their neighbours
    pairs = torch.stack([view[16:48, 16:48].flatten(), made[16:48, 16:48].flatten()]).unique(dim=1)
    assert len(pairs[0].unique()) == len(pairs[1].unique()) == pairs.shape[1]


def test_superpixels_of_an_aligned_crop_lie_where_the_cells_are(whole):
    algorithm, _ = whole
    grid = torch.from_numpy(GridSuperpixels(8)(np.zeros((120, 160, 3), np.uint8)))
    pixel_map = torch.eye(3)
    pixel_map[0, 2], pixel_map[1, 2] = -24, -16
    expected = torch.from_numpy(GridSuperpixels(8)(np.zeros((64, 64, 3), np.uint8)))
    torch.testing.assert_close(algorithm.of_view(grid[16:80, 24:88], pixel_map, (120, 160)), expected)


@pytest.mark.parametrize("levels", [1, 3])
def test_seeds_remembers_nothing_of_the_image_before(levels):
    """The OpenCV object is kept between images; each result is that of a fresh one."""
    algorithm = SeedsSuperpixels(8, num_levels=levels)
    images = [picture(64, 96, seed) for seed in range(3)]
    for image in [*images, np.zeros_like(images[0]), *reversed(images)]:
        fresh = cv2.ximgproc.createSuperpixelSEEDS(96, 64, 3, algorithm.count(64, 96), levels, 2, 5, False)
        fresh.iterate(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), 15)
        np.testing.assert_array_equal(algorithm(image), fresh.getLabels())


EXTREME = {
    "flat": lambda h, w: np.full((h, w, 3), 128, np.uint8),
    "noise": lambda h, w: np.random.default_rng(0).integers(0, 256, (h, w, 3), dtype=np.uint8),
    "stripes": lambda h, w: np.broadcast_to((np.arange(w) % 2 * 255).astype(np.uint8)[None, :, None], (h, w, 3)).copy(),
}


@pytest.mark.parametrize("kind", [SeedsSuperpixels, SlicSuperpixels, GridSuperpixels])
@pytest.mark.parametrize(("size", "height", "width"), [(8, 48, 64), (16, 16, 16), (4, 4, 4), (2, 2, 2), (2, 8, 8)])
@pytest.mark.parametrize("name", EXTREME)
def test_extreme_pictures_come_out_as_asked(kind, size, height, width, name):
    """Noise made one superpixel of SLIC's 48, and SEEDS four superpixels where one was due."""
    if kind is SeedsSuperpixels:
        size, height, width = max(size, 4), max(height, 4), max(width, 4)
    superpixels = kind(size)
    superpixels.check(height, width)
    ids = superpixels(EXTREME[name](height, width))
    assert ids.shape == (height, width)
    assert len(np.unique(ids)) >= superpixels.count(height, width) / 2


def test_sizes_that_seeds_cannot_have_are_refused_with_their_cause():
    for size in (1, 2, 3):
        with pytest.raises(ValueError, match=f"`size` is {size}, but SEEDS moves pixels"):
            SeedsSuperpixels(size).check(16, 16)  # OpenCV would end the process, or never come back
    with pytest.raises(ValueError, match=r"makes 36 .* where 49 .*; it halves blocks"):
        SeedsSuperpixels(7).check(49, 49)
