"""The raw Kinect video: pairing by time, its files' oddities, and registration against a really registered frame."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from datamodules.nyuv2.kinect import (
    DEPTH_DISTORTION,
    DEPTH_MATRIX,
    ROTATION,
    TRANSLATION,
    depth_of_codes,
    read_codes,
    register_depth,
)
from datamodules.nyuv2.labeled_format import intrinsics
from datamodules.nyuv2.raw_reader import NYUv2RawReader, synchronise

REAL = Path(__file__).parents[3] / "../shared/data/real/nyu_depth_v2"
real = [
    pytest.mark.real_data,
    pytest.mark.skipif(not REAL.is_dir(), reason="the pack of real frames is not here (../shared/data/real)"),
]

#: A wall that is 351.3 / 100 m away.
WALL = np.full((480, 640), 992, dtype=np.uint16)


def write_depth(path, codes=WALL, order="<u2", header=b"P5 640 480 65535\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + codes.astype(order).tobytes())


def write_color(path, value=0, header=b"P6 640 480 255\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + np.full((480, 640, 3), value, dtype=np.uint8).tobytes())


def write_scene(folder, depth_times, color_times):
    for tick, time in enumerate(depth_times):
        write_depth(folder / f"d-{time:.6f}-{tick}.pgm")
    for tick, time in enumerate(color_times):
        write_color(folder / f"r-{time:.6f}-{tick}.ppm", value=tick)


def reader(root, **options):
    return NYUv2RawReader(root, **{"min_depth": 0.1, "max_depth": 10.0, **options})


def match_by_loops(depth_times, color_times, max_offset):
    """Each depth frame asks for its nearest colour frame, each colour frame answers the nearest that asks."""
    asked = [min(range(len(color_times)), key=lambda c: abs(color_times[c] - time)) for time in depth_times]
    pairs = []
    for c, time in enumerate(color_times):
        asking = [d for d, wanted in enumerate(asked) if wanted == c]
        if asking:
            d = min(asking, key=lambda d: abs(depth_times[d] - time))
            if abs(depth_times[d] - time) <= max_offset:
                pairs.append((d, c))
    return sorted(pairs)


@pytest.mark.parametrize("seed", range(20))
def test_pairs_are_nearest_in_time(seed):
    generator = np.random.default_rng(seed)
    depth, color = (np.sort(generator.uniform(0, 2, size)) for size in generator.integers(1, 60, 2))
    pairs = list(zip(*synchronise(depth, color, 0.03), strict=True))
    assert pairs == match_by_loops(depth.tolist(), color.tolist(), 0.03)


def test_nothing_to_pair():
    none = np.zeros(0)
    for depth, color in ((none, np.ones(2)), (np.ones(2), none)):
        assert [len(part) for part in synchronise(depth, color, 1.0)] == [0, 0]


def test_video_is_paired_and_strided(tmp_path):
    start = 1294886360.2
    write_scene(tmp_path / "kitchens" / "kitchen_0004", [start, start + 0.5, start + 9], [start + 0.01, start + 0.49])
    times = [start + k / 10 for k in range(5)]
    write_scene(tmp_path / "den_0001", times, times)
    whole = reader(tmp_path)
    assert list(whole.scenes) == ["den_0001"] * 5 + ["kitchen_0004"] * 2
    assert whole.unmatched == 1
    strided = reader(tmp_path, stride=2)
    frames = [strided.read(position) for position in range(len(strided))]
    assert [frame.frame for frame in frames] == [0, 2, 4, 0]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [int(frame.image.max()) for frame in frames] == [0, 2, 4, 0]  # a picture's value is its tick
    assert list(reader(tmp_path, scenes=["kitchen_0004"]).scenes) == ["kitchen_0004"] * 2
    assert "d-1294886360.200000-0.pgm" in strided.source(3)


def test_depth_comes_from_codes():
    codes = np.array([[839, 1040, 1092, 1093, 1100, 2047, 0]])
    expected = [351.3 / (1092.5 - code) if code < 1092.5 else 0 for code in codes[0].tolist()]
    np.testing.assert_allclose(depth_of_codes(codes)[0], expected, rtol=1e-12)


def test_both_byte_orders_and_comments(tmp_path):
    codes = np.random.default_rng(0).integers(800, 1050, (480, 640)).astype(np.uint16)
    codes[0, 0] = 2047
    write_depth(tmp_path / "little.pgm", codes)
    write_depth(tmp_path / "big.pgm", codes, order=">u2", header=b"P5\n# made again\n640 480\n# by a tool\n65535\n")
    for name in ("little.pgm", "big.pgm"):
        np.testing.assert_array_equal(read_codes(tmp_path / name), codes)


def test_unregistered_frame_is_as_it_lies(tmp_path):
    write_scene(tmp_path / "den_0001", [1.0], [1.0])
    frame = reader(tmp_path, register=False).read(0)
    torch.testing.assert_close(frame.maps["depth"], torch.full((1, 480, 640), 351.3 / 100.5))
    torch.testing.assert_close(frame.intrinsics, torch.from_numpy(DEPTH_MATRIX).float())


def test_registered_frame_has_the_color_camera(tmp_path):
    write_scene(tmp_path / "den_0001", [1.0], [1.0])
    frame = reader(tmp_path).read(0)
    torch.testing.assert_close(frame.intrinsics, torch.from_numpy(intrinsics()))
    depth = frame.maps["depth"]
    assert depth.shape == (1, 480, 640)
    assert depth.dtype == torch.float32
    torch.testing.assert_close(depth[depth > 0].unique(), torch.tensor([351.3 / 100.5]))
    # The depth camera sees 518 / 582 of the colour camera's width: borders stay empty.
    assert 0.7 < (depth > 0).float().mean() < 0.85


def test_a_point_lands_where_opencv_projects_it():
    """Independent of the implementation: one small patch, undistorted and projected by OpenCV's own functions."""
    for row, column in ((100, 120), (240, 320), (400, 560)):
        codes = np.full((480, 640), 2047, dtype=np.uint16)
        codes[row - 3 : row + 4, column - 3 : column + 4] = 900
        x, y = cv2.undistortPoints(np.array([[[column, row]]], np.float64), DEPTH_MATRIX, DEPTH_DISTORTION)[0, 0]
        point = np.array([[x, y, 1]]) * 351.3 / (1092.5 - 900)
        rotation, _ = cv2.Rodrigues(ROTATION)
        expected = cv2.projectPoints(point, rotation, TRANSLATION, intrinsics().astype(np.float64), None)[0][0, 0]
        rows, columns = np.nonzero(register_depth(codes))
        assert abs(columns.mean() - expected[0]) < 0.7
        assert abs(rows.mean() - expected[1]) < 0.7


def test_the_nearest_point_wins():
    """A pole before a wall hides what the colour camera, 25 mm to its side, cannot see."""
    codes = WALL.copy()
    codes[:, 300:340] = 600  # 0.71 m
    registered = register_depth(codes)
    near = np.isclose(registered, 351.3 / 492.5, atol=0.01)
    assert near[240].sum() >= 33  # its 40 pixels less the interpolated edges, at 518 / 582 of the size
    columns = np.flatnonzero(near[240])
    assert (np.diff(columns) == 1).all()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-100]), "truncated"),
        (lambda file: file.write_bytes(file.read_bytes() + b"x"), "too long"),
        (lambda file: file.write_bytes(b""), "0 bytes"),
        (lambda file: file.write_bytes(b"garbage" * 100), "header"),
        (lambda file: write_depth(file, WALL[:240], header=b"P5 640 240 65535\n"), "P5 640 240 65535"),
        (lambda file: write_depth(file, WALL, header=b"P5 640 480 255\n"), "P5 640 480 255"),
        (lambda file: write_depth(file, np.full((480, 640), 0x7F7F)), "2047"),
        (lambda file: write_depth(file, np.full((480, 640), 2047)), "no depth"),
        (lambda file: file.unlink(), "missing"),
    ],
)
def test_damaged_depth_is_named(tmp_path, damage, message):
    write_scene(tmp_path / "den_0001", [1.0], [1.0])
    frames = reader(tmp_path)
    damage(tmp_path / "den_0001" / "d-1.000000-0.pgm")
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        frames.read(0)
    assert "d-1.000000-0.pgm" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_color_is_named(tmp_path):
    write_scene(tmp_path / "den_0001", [1.0], [1.0])
    file = tmp_path / "den_0001" / "r-1.000000-0.ppm"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"r-1\.000000-0\.ppm: truncated"):
        reader(tmp_path).read(0)


def test_what_cannot_be_a_data_set(tmp_path):
    with pytest.raises(FileNotFoundError, match="no scene"):
        reader(tmp_path)
    write_depth(tmp_path / "den_0001" / "d-1.000000-0.pgm")
    with pytest.raises(ValueError, match="no depth frame has a colour frame"):
        reader(tmp_path)
    write_color(tmp_path / "den_0001" / "r-1.000000-0.ppm")
    with pytest.raises(FileNotFoundError, match="scene den_0002 is missing"):
        reader(tmp_path, scenes=["den_0002"])
    with pytest.raises(ValueError, match="stride"):
        reader(tmp_path, stride=0)
    write_scene(tmp_path / "more" / "den_0001", [1.0], [1.0])
    with pytest.raises(ValueError, match="both named den_0001"):
        reader(tmp_path)
    write_depth(tmp_path / "office_0001" / "d-noon-0.pgm")
    with pytest.raises(ValueError, match=r"d-noon-0\.pgm: its name"):
        reader(tmp_path, scenes=["office_0001"])


def test_workers_and_caches(tmp_path):
    write_scene(tmp_path / "den_0001", [1.0, 2.0], [1.0, 2.0])
    frames = reader(tmp_path)
    copied = pickle.loads(pickle.dumps(frames))
    torch.testing.assert_close(copied.read(1).maps["depth"], frames.read(1).maps["depth"])
    assert copied.identity == frames.identity
    others = [reader(tmp_path, **o) for o in ({"register": False}, {"stride": 2}, {"max_depth": 4.0})]
    assert len({frames.identity, *(other.identity for other in others)}) == 4


@pytest.fixture
def kinect_dump(tmp_path):
    """The real pair of files under the names that they have in the raw video."""
    scene = tmp_path / "basement_0001a"
    scene.mkdir()
    for name, source in (("d-1316653580.47-1.pgm", "NYU_depth.pgm"), ("r-1316653580.48-1.ppm", "NYU_color.ppm")):
        (scene / name).symlink_to((REAL / "kinect_dump" / source).resolve())
    return tmp_path


@pytest.mark.parametrize("register", [pytest.param(value, marks=real) for value in (True, False)])
def test_registration_is_the_toolbox_s(kinect_dump, register):
    """The same view, registered by the data set's authors: 0.3 mm off, by rounding; 68 mm if it is left as it lies."""
    depth = reader(kinect_dump, register=register).read(0).maps["depth"][0].numpy()
    millimetres = cv2.imread(str(REAL / "raw_train_metric3d/depth/sync_depth_00000.png"), cv2.IMREAD_UNCHANGED)
    both = (depth > 0) & (millimetres > 0)
    error = np.abs(depth - millimetres / 1000)[both]
    missed = ((depth == 0) & (millimetres > 0)).mean()
    if register:
        assert np.median(error) < 5e-4
        assert (error > 0.05).mean() < 1e-3
        assert missed < 1e-3
    else:
        assert np.median(error) > 0.05
        assert missed > 0.01


@pytest.mark.parametrize("register", [pytest.param(value, marks=real) for value in (True, False)])
def test_undistortion_is_the_toolbox_s(kinect_dump, register):
    image = reader(kinect_dump, register=register).read(0).image.permute(1, 2, 0).numpy().astype(int)
    picture = cv2.imread(str(REAL / "raw_train_metric3d/rgb/rgb_00000.jpg"))[..., ::-1]
    error = np.abs(image - picture)[45:470, 45:600].mean()
    assert (error < 6) == register  # the picture is a JPEG
