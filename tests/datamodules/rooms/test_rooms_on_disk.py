"""The rendered set: its files against the description of NYUv2's format, and what interruptions leave behind."""

import errno
import multiprocessing
import os
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from scipy.io import loadmat

from datamodules.classes import FURNITURE
from datamodules.nyuv2.labeled_format import intrinsics, read_class_mapping
from datamodules.rooms import RoomsParameters, dataset, ensure_rooms
from datamodules.rooms.furniture_classes import rooms_nyu40

SMALL = RoomsParameters(height=32, width=48, train_scenes=2, test_scenes=1, frames_per_scene=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return ensure_rooms(SMALL, tmp_path_factory.mktemp("cache"), progress=False)


@pytest.fixture(scope="module")
def file(folder):
    with h5py.File(folder / "nyu_depth_v2_labeled.mat") as opened:
        yield opened


def test_layout_is_that_of_nyuv2(folder, file):
    expected = {
        "images": ((6, 3, 48, 32), "uint8", b"uint8"),
        "depths": ((6, 48, 32), "float32", b"single"),
        "rawDepths": ((6, 48, 32), "float32", b"single"),
        "labels": ((6, 48, 32), "uint16", b"uint16"),
        "instances": ((6, 48, 32), "uint8", b"uint8"),
        "accelData": ((4, 6), "float32", b"single"),
    }
    for key, (shape, dtype, matlab_class) in expected.items():
        assert file[key].shape == shape
        assert file[key].dtype == dtype
        assert file[key].attrs["MATLAB_class"] == matlab_class
    for key in ("scenes", "sceneTypes", "rawDepthFilenames", "rawRgbFilenames"):
        assert file[key].shape == (1, 6)
        assert file[file[key][0, 0]].dtype == np.uint16
        assert file[file[key][0, 0]].shape[1] == 1
    text = lambda reference: "".join(map(chr, file[reference][:].ravel()))  # noqa: E731
    names = [text(r) for r in file["names"][0]]
    assert len(names) == 894
    assert all(names[number - 1] == name for name, (number, _) in FURNITURE.items())
    assert [text(r) for r in file["scenes"][0]][:3] == ["bedroom_0000", "bedroom_0000", "living_room_0001"]
    assert "rooms" in text(file["rawRgbFilenames"][0, 0])

    head = (folder / "nyu_depth_v2_labeled.mat").read_bytes()[:512]
    assert head.startswith(b"MATLAB 7.3 MAT-file")
    assert b"not NYU Depth v2" in head[:116]
    assert head[116:128] == bytes(8) + b"\x00\x02IM"
    with pytest.raises(NotImplementedError):  # as scipy says of the original
        loadmat(folder / "nyu_depth_v2_labeled.mat")


def test_split_counts_from_one_and_shares_no_scene(folder):
    splits = loadmat(folder / "splits.mat")
    train, test = splits["trainNdxs"], splits["testNdxs"]
    assert train.shape == (4, 1)
    assert test.shape == (2, 1)
    assert train.dtype == test.dtype == np.uint16
    assert sorted([*train.ravel(), *test.ravel()]) == [1, 2, 3, 4, 5, 6]
    assert not {(i - 1) // 2 for i in train.ravel()} & {(i - 1) // 2 for i in test.ravel()}


def test_values_are_those_of_a_sensor_in_a_room(file):
    depth, raw = file["depths"][:], file["rawDepths"][:]
    assert ((depth > 0.3) & (depth < 10)).all()
    assert (raw == 0).any()
    np.testing.assert_array_equal(raw[raw > 0], depth[raw > 0])
    classes = rooms_nyu40()[file["labels"][:]]
    assert classes.min() >= 1
    assert {1, 2} <= set(np.unique(classes))  # walls and floors
    assert file["images"][:].std() > 20


def test_floors_are_level(file):
    """Back-projected with NYUv2's camera, a frame's floor pixels lie on one plane: depth is planar, as is due."""
    depth, floor = file["depths"][:].transpose(0, 2, 1), rooms_nyu40()[file["labels"][:]].transpose(0, 2, 1) == 2
    rays = np.linalg.inv(intrinsics(32, 48)) @ np.stack(
        [*np.meshgrid(np.arange(48), np.arange(32)), np.ones((32, 48))]
    ).reshape(3, -1)
    checked = 0
    for frame in range(len(depth)):
        chosen = floor[frame].ravel()
        if chosen.sum() < 50:
            continue
        points = (rays * depth[frame].ravel())[:, chosen]
        centred = points - points.mean(1, keepdims=True)
        assert np.linalg.svd(centred, compute_uv=False)[-1] / np.sqrt(chosen.sum()) < 2e-3
        checked += 1
    assert checked > 0


def test_occlusion_boundaries_lie_beside_all_frames(folder, file):
    names = sorted(path.name for path in (folder / "nyuv2_oc/NYUv2_OCpp/oc").iterdir())
    assert names == [f"{i:04d}_oc.png" for i in range(len(file["depths"]))]
    boundary = cv2.imread(str(folder / "nyuv2_oc/NYUv2_OCpp/oc" / names[0]), cv2.IMREAD_UNCHANGED)
    assert boundary.shape == (32, 48)
    assert set(np.unique(boundary)) == {0, 255}
    depth = file["depths"][int(names[0][:4])].T
    steps = np.abs(np.diff(np.log(depth), axis=1)) > 0.3  # a jump of a third of the depth is a boundary by any rule
    near_boundary = cv2.dilate(boundary, np.ones((3, 3), np.uint8)) > 0
    assert steps.any()
    assert near_boundary[:, 1:][steps].mean() > 0.95


def test_the_same_parameters_give_the_same_frames_and_others_do_not(folder, tmp_path):
    def images(path: Path):
        with h5py.File(path / "nyu_depth_v2_labeled.mat") as opened:
            return opened["images"][:], opened["depths"][:]

    again = ensure_rooms(SMALL, tmp_path, progress=False)
    assert again.name == folder.name
    for first, second in zip(images(folder), images(again), strict=True):
        np.testing.assert_array_equal(first, second)
    other = RoomsParameters(height=32, width=48, train_scenes=1, test_scenes=1, frames_per_scene=2, seed=1)
    changed = ensure_rooms(other, tmp_path, progress=False)
    assert changed.name != folder.name
    assert (images(changed)[0][:2] != images(folder)[0][:2]).any()


def test_a_second_start_renders_nothing(folder, monkeypatch):
    monkeypatch.setattr(dataset, "render_scene", None)
    assert ensure_rooms(SMALL, folder.parent, progress=False) == folder


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("bug")])
def test_an_interrupted_rendering_leaves_nothing(tmp_path, monkeypatch, error):
    def stop(folder, scenes, rendered, frames, size):
        next(iter(rendered))
        (folder / "nyu_depth_v2_labeled.mat").write_bytes(b"half")
        raise error

    monkeypatch.setattr(dataset, "write_data_set", stop)
    with pytest.raises(type(error)):
        ensure_rooms(SMALL, tmp_path, progress=False)
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), OSError("Can't write data (No space left on device)")]
)
def test_a_full_disk_is_one_line(tmp_path, monkeypatch, error):
    def stop(*args):
        raise error

    monkeypatch.setattr(dataset, "write_data_set", stop)
    with pytest.raises(OSError, match=r"the disk is full: set SEGDEPTH_CACHE to a folder with \d+ MB free") as raised:
        ensure_rooms(SMALL, tmp_path, progress=False)
    assert str(tmp_path) in str(raised.value)
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_too_little_space_is_seen_before_rendering(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset.shutil, "disk_usage", lambda path: os.terminal_size((0, 0)) and Free())
    monkeypatch.setattr(dataset, "render_scene", None)
    with pytest.raises(OSError, match="the disk is full"):
        ensure_rooms(SMALL, tmp_path, progress=False)


class Free:
    free = 1000


def test_wrecks_of_killed_renderings_are_cleared(tmp_path):
    wreck = tmp_path / f"{SMALL.key}.part-abc"
    wreck.mkdir()
    (wreck / "nyu_depth_v2_labeled.mat").write_bytes(b"half")
    ensure_rooms(SMALL, tmp_path, progress=False)
    assert not wreck.exists()


def _ensure(cache):
    return str(ensure_rooms(SMALL, cache, progress=False))


@pytest.mark.slow
def test_two_processes_share_one_rendering(tmp_path):
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        first, second = pool.map(_ensure, [tmp_path, tmp_path])
    assert first == second
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [SMALL.key]


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="height` must be positive"):
        RoomsParameters(height=0)
    with pytest.raises(ValueError, match="counts to 65535"):
        RoomsParameters(train_scenes=70_000)


def test_the_class_mapping_lies_beside_the_labels(folder, file):
    table = read_class_mapping(folder / "classMapping40.mat")
    np.testing.assert_array_equal(table, rooms_nyu40())
    used = set(np.unique(file["labels"][:]))
    assert used <= {number for number, _ in FURNITURE.values()}


@pytest.mark.real_data
def test_classes_are_numbered_as_nyuv2_numbers_them():
    meta = Path(__file__).parents[3] / "../shared/data/real/nyu_depth_v2"
    if not meta.is_dir():
        pytest.skip("the pack of real frames is not here (../shared/data/real)")
    table = read_class_mapping(meta / "meta" / "classMapping40.mat")
    with h5py.File(meta / "converted_labeled_mat" / "nyu_depth_v2_labeled_mini16.mat") as opened:
        names = ["".join(map(chr, opened[reference][:].ravel())) for reference in opened["names"][0]]
    for name, (number, nyu40) in FURNITURE.items():
        assert names[number - 1] == name
        assert table[number] == nyu40
