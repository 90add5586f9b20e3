"""Region support against a plain transcription of algorithm 1's corrected reading, golden values and a real frame."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import ndimage

from datamodules.pipeline.region_support_target import RegionSupport, connected_regions, fill_from_nearest
from tests.helpers.literal_region_support import SQUARED_REACH, as_printed, flood, transcription

SHARED = Path(__file__).parents[3] / "../shared"
GOLDEN = SHARED / "reference/golden/region_support.npz"
REAL = SHARED / "data/real/nyu_depth_v2/converted_labeled_mat/nyu_depth_v2_labeled_mini3_raw.mat"


def random_frame(seed, shape=(13, 17)):
    """A few classes in blobs and specks, unlabelled pixels, and a continuous depth with holes."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 4, (shape[0] // 3 + 1, shape[1] // 3 + 1)).repeat(3, 0).repeat(3, 1)
    labels = np.where(random.random(shape) < 0.3, random.integers(0, 4, shape), coarse[: shape[0], : shape[1]])
    depth = random.uniform(0.5, 9.5, shape).astype(np.float32)
    return labels, np.where(random.random(shape) < 0.15, np.float32(0), depth)


@pytest.mark.parametrize("link", ["dist2", "8", "4"])
@pytest.mark.parametrize("seed", range(5))
def test_random_frames(seed, link):
    labels, depth = random_frame(seed)
    np.testing.assert_array_equal(connected_regions(labels, link), flood(labels, link))
    for options in ({}, {"min_fill": 0.5}, {"min_fill": 0}, {"bins": 4}, {"bins": 1}):
        support, regions = RegionSupport(link=link, **options)(labels, depth)
        expected_support, expected_regions = transcription(labels, depth, link=link, **options)
        np.testing.assert_array_equal(regions, expected_regions)
        np.testing.assert_allclose(support, expected_support, rtol=1e-6)
        assert (support.dtype, regions.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("min_fill", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_depths_on_the_borders_of_the_bins(seed, min_fill):
    random = np.random.default_rng(seed)
    labels = random.integers(1, 3, (9, 12))
    depth = random.integers(1, 12, labels.shape).astype(np.float32)  # bins of exactly 1 m
    depth[0, :2] = 1, 11
    _, regions = RegionSupport(min_fill=min_fill)(labels, depth)
    np.testing.assert_array_equal(regions, transcription(labels, depth, min_fill=min_fill)[1])


@pytest.mark.parametrize("scale", [0.3, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_as_printed(seed, scale):
    """Bins are metres wide or centimetres: the printed threshold is no share of pixels, and drops other bins."""
    labels, depth = random_frame(seed)
    depth *= np.float32(scale)
    support, regions = RegionSupport(split="printed", regions="connected")(labels, depth)
    expected, connected = as_printed(labels, depth)
    np.testing.assert_allclose(support, expected, rtol=1e-6)
    np.testing.assert_array_equal(regions, connected)
    refined = RegionSupport(split="printed")(labels, depth)[1]
    np.testing.assert_array_equal(refined > 0, expected > 0)


def test_what_the_print_drops_of_a_ramp():
    """Thirty depths 1..11 m, one class: of bins of 1 m the first loses its minimum, the last is never looked at."""
    depth = np.linspace(1, 11, 31, dtype=np.float32)[None]
    support, _ = RegionSupport(split="printed")(np.ones(depth.shape, int), depth)
    assert (support == 0).all()  # no bin has more than 31 / 10 / 1 pixels
    support, _ = RegionSupport(split="printed")(np.ones((1, 31), int), depth * np.float32(2))
    inner = support[0, 1:27].reshape(-1)  # 31 / 20 / 2 is below one pixel
    assert (inner[np.arange(26) % 3 != 2] > 0).all()
    assert (inner[np.arange(26) % 3 == 2] == 0).all()
    assert (support[0, [0, 28, 29, 30]] == 0).all()
    flat = np.full((2, 3), np.float32(2))
    assert (RegionSupport(split="printed")(np.ones((2, 3), int), flat)[0] == 0).all()  # 0 < 2 * 0 is false


def test_ramp():
    """Eleven depths 1..11 m make ten bins of 1 m, the last of them [10, 11]; the average population is 1.1."""
    labels, depth = np.ones((1, 11), int), np.arange(1, 12, dtype=np.float32)[None]
    support, regions = RegionSupport()(labels, depth)
    np.testing.assert_array_equal(regions[0], [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5])
    np.testing.assert_array_equal(support[0], [1.5, 1.5, 3.5, 3.5, 5.5, 5.5, 7.5, 7.5, 10, 10, 10])
    support, regions = RegionSupport(min_fill=0.5)(labels, depth)
    np.testing.assert_array_equal(regions[0], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10])
    np.testing.assert_array_equal(support[0], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10.5, 10.5])


def test_sparse_bins_are_merged_without_limit():
    """One pixel a metre below 10 m, forty at 11 m: 49 pixels in ten bins, of which only the last has more than 4.9."""
    depth = np.array([[*range(1, 10), *[11] * 40]], np.float32)
    support, regions = RegionSupport()(np.ones(depth.shape, int), depth)
    assert (regions[0, 5:] == 2).all()
    assert regions[0, :5].tolist() == [1] * 5
    assert support[0, -1] == pytest.approx((6 + 7 + 8 + 9 + 440) / 44)


def test_a_region_narrower_than_two_bins_stays_whole():
    labels = np.array([[1, 1, 1, 1, 2, 2]])
    depth = np.array([[1, 1, 1, 2.75, 1, 11]], np.float32)
    assert RegionSupport()(labels, depth)[1].tolist() == [[1, 1, 1, 1, 2, 3]]
    depth[0, 3] = 3
    assert RegionSupport()(labels, depth)[1].tolist() == [[1, 1, 1, 2, 3, 4]]


@pytest.mark.parametrize("link", ["dist2", "8", "4"])
def test_neighbours(link):
    for i in range(4):
        for j in range(4):
            labels = np.zeros((5, 7), int)
            labels[0, 0] = labels[i, j] = 7
            assert connected_regions(labels, link)[i, j] == (1 if i * i + j * j <= SQUARED_REACH[link] else 2)


def test_regions_of_one_class_link_across_another_class():
    assert connected_regions(np.array([[1, 2, 1, 2]])).tolist() == [[1, 2, 1, 2]]
    assert connected_regions(np.array([[1, 2, 1, 2]]), "8").tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("unlabeled", ["zero", "depth_components", "nearest"])
@pytest.mark.parametrize("seed", range(3))
def test_targets(seed, unlabeled):
    labels, depth = random_frame(seed, (31, 37))
    support, regions = RegionSupport(unlabeled=unlabeled)(labels, depth)
    covered = depth > 0 if unlabeled != "zero" else (depth > 0) & (labels > 0)
    np.testing.assert_array_equal(regions > 0, covered)
    np.testing.assert_array_equal(support > 0, covered)
    ids = np.arange(1, regions.max() + 1)
    means = ndimage.mean(depth.astype(np.float64), regions, ids)  # and no id is empty: it would be NaN here
    np.testing.assert_allclose(support[covered], means[regions[covered] - 1], rtol=1e-6)
    connected = flood(labels, "dist2")
    for region in ids:
        inside = regions == region
        assert np.unique(connected[inside & (labels > 0)]).size <= 1


@pytest.mark.parametrize("bins", [3, 10])
@pytest.mark.parametrize("seed", range(3))
def test_the_depth_range_inside_a_region_is_bounded(seed, bins):
    """Two bins at most where no bin is merged; otherwise what a region has below its last bin is sparse."""
    labels, depth = random_frame(seed, (31, 37))
    labels[labels > 2] = 1
    connected, width = connected_regions(labels), np.ptp(depth[depth > 0].astype(np.float64)) / bins
    for min_fill in (0, 1):
        regions = RegionSupport(bins=bins, min_fill=min_fill)(labels, depth)[1]
        for region in range(1, regions.max() + 1):
            inside = depth[regions == region].astype(np.float64)
            (whole,) = np.unique(connected[regions == region])
            around = depth[(connected == whole) & (depth > 0)].astype(np.float64)
            bounded = np.ptp(inside) < 2 * width if len(inside) == len(around) else np.ptp(inside) <= width
            place, extent = (inside - around.min()) / width, np.ptp(around) / width
            last = min(np.floor(place.max()), max(np.ceil(extent), 1) - 1)  # the bin that the farthest pixel is in
            sparse = (place < last).sum() <= min_fill * len(around) / max(extent, 1)
            assert bounded or (min_fill and sparse)


def test_the_names_of_the_classes_do_not_matter():
    labels, depth = random_frame(0)
    support, regions = RegionSupport()(labels, depth)
    other_support, other_regions = RegionSupport()(np.array([0, 893, 5, 12])[labels], depth)
    np.testing.assert_array_equal(other_regions, regions)
    np.testing.assert_array_equal(other_support, support)


def test_a_hole_neither_cuts_a_region_nor_belongs_to_it():
    depth = np.array([[2, 0, np.nan, np.inf, 4]], np.float32)
    support, regions = RegionSupport(bins=1)(np.ones((1, 5), int), depth)
    assert regions.tolist() == [[1, 0, 0, 0, 1]]
    assert support.tolist() == [[3, 0, 0, 0, 3]]


def test_a_region_without_depth_takes_no_id():
    _, regions = RegionSupport()(np.array([[1, 2, 2, 3]]), np.array([[2, 0, 0, 2]], np.float32))
    assert regions.tolist() == [[1, 0, 0, 2]]


@pytest.mark.parametrize("unlabeled", ["zero", "depth_components", "nearest"])
def test_nothing_to_label(unlabeled):
    make, labels = RegionSupport(unlabeled=unlabeled), np.ones((5, 7), int)
    for map_ in make(labels, np.zeros((5, 7), np.float32)):
        assert not map_.any()
    _, regions = make(0 * labels, np.full((5, 7), 2, np.float32))
    assert (regions == (unlabeled == "depth_components")).all()


def test_unlabelled_pixels_as_one_more_class():
    labels, depth = random_frame(1)
    expected = RegionSupport()(np.where(labels == 0, 4, labels), depth)
    for map_, expected_map in zip(RegionSupport(unlabeled="depth_components")(labels, depth), expected, strict=True):
        np.testing.assert_array_equal(map_, expected_map)


def test_unlabelled_pixels_join_the_nearest_region_and_never_link_two():
    labels = np.array([[5, 0, 0, 0, 0, 5, 0, 6]])
    depth = np.full(labels.shape, 3, np.float32)
    regions = RegionSupport(unlabeled="nearest")(labels, depth)[1][0].tolist()
    assert regions[:6] == [1, 1, 1, 2, 2, 2]
    assert regions[6] in (2, 3)
    assert regions[7] == 3


def test_fill_from_nearest_against_all_distances():
    random = np.random.default_rng(0)
    regions = np.where(random.random((9, 11)) < 0.1, random.integers(1, 5, (9, 11)), 0)
    filled, known = fill_from_nearest(regions), np.argwhere(regions)
    for pixel in np.ndindex(regions.shape):
        distance = ((known - pixel) ** 2).sum(axis=1)
        assert filled[pixel] in regions[tuple(known[distance == distance.min()].T)]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 2), (3, 5)])
def test_small_and_odd_sizes(shape):
    random = np.random.default_rng(0)
    labels, depth = random.integers(1, 3, shape), random.uniform(1, 9, shape).astype(np.float32)
    np.testing.assert_array_equal(RegionSupport()(labels, depth)[1], transcription(labels, depth)[1])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32])
def test_other_types_and_layouts(kind):
    labels, depth = random_frame(2)
    labels[labels == 3] = 255
    make = RegionSupport(unlabeled="depth_components")
    support, regions = make(labels, depth)
    again = make(np.asfortranarray(labels.astype(kind)), np.asfortranarray(depth.astype(np.float64)))
    np.testing.assert_array_equal(again[0], support)
    np.testing.assert_array_equal(again[1], regions)


def test_inputs_are_left_alone():
    labels, depth = random_frame(3)
    kept = labels.copy(), depth.copy()
    RegionSupport(unlabeled="nearest")(labels, depth)
    np.testing.assert_array_equal(labels, kept[0])
    np.testing.assert_array_equal(depth, kept[1])


@pytest.mark.parametrize(
    "option",
    [
        {"bins": 0},
        {"min_fill": -0.1},
        {"min_fill": float("nan")},
        {"link": "6"},
        {"unlabeled": "drop"},
        {"split": "best"},
        {"regions": "all"},
    ],
)
def test_bad_options(option):
    (key,) = option
    with pytest.raises(ValueError, match=f"^RegionSupport: `{key}` must be .*, got .*$"):
        RegionSupport(**option)


def test_maps_of_two_sizes():
    with pytest.raises(ValueError, match=r"\(4, 6\) and \(4, 5\)"):
        RegionSupport()(np.ones((4, 6), int), np.ones((4, 5), np.float32))


@pytest.mark.golden
@pytest.mark.skipif(not GOLDEN.exists(), reason=f"golden values absent: {GOLDEN}")
@pytest.mark.parametrize("frame", [0, 1])
def test_golden(frame):
    golden = np.load(GOLDEN)
    # The file's two names are swapped: its `support` holds ids and its `regions` metres.
    expected_regions, expected_support = golden["support"][frame], golden["regions"][frame]
    support, regions = RegionSupport()(golden["labels"][frame], golden["depth"][frame])
    np.testing.assert_allclose(support, expected_support, rtol=1e-5)
    # The golden ids are numbered by class: the same partition means as many pairs of ids as ids on either side.
    pairs = np.unique(np.stack([regions, expected_regions]).reshape(2, -1), axis=1)
    assert pairs.shape[1] == np.unique(regions).size == np.unique(expected_regions).size


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.exists(), reason=f"real frames absent: {REAL}")
def test_real_frame():
    with h5py.File(REAL) as file:
        labels, depth = file["labels"][1].T.astype(np.int64), file["depths"][1].T
    for link, structure in (("8", np.ones((3, 3))), ("4", None)):
        parts = sum(ndimage.label(labels == name, structure)[1] for name in np.unique(labels) if name)
        assert connected_regions(labels, link).max() == parts
    connected = connected_regions(labels)
    support, regions = RegionSupport()(labels, depth)
    labelled = labels > 0
    np.testing.assert_array_equal(regions > 0, labelled)
    ids = np.arange(1, regions.max() + 1)
    np.testing.assert_array_equal(ndimage.minimum(connected, regions, ids), ndimage.maximum(connected, regions, ids))
    assert np.sqrt(np.mean((support - depth)[labelled] ** 2)) < 0.3  # a few decimetres: regions are about a bin deep
