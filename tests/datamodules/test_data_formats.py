"""What is written about the formats, checked on the real files; and that the loaders see the same."""

import csv
import json
import tarfile
from collections import Counter
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from scipy.io import loadmat

from datamodules import HyperSimDataModule
from datamodules.classes import NAMES40
from datamodules.files import read_lines
from datamodules.hypersim.scene_format import (
    CAMERA_FILE,
    FLAGGED_FILE,
    SPLIT_FILE,
    HyperSimFrame,
    camera_matrix,
    constant_camera,
    planar_factor,
    read_cameras,
    read_flagged,
    read_frame_list,
    read_official_split,
)
from datamodules.hypersim.scene_reader import HyperSimReader
from datamodules.nyuv2.labeled_format import (
    BLACK_WINDOW,
    CAMERA,
    WHITE_BORDER,
    intrinsics,
    looks_mirrored,
    read_class13_mapping,
    read_class_mapping,
)
from datamodules.nyuv2.trees import TreeFrame, TreeReader
from datamodules.storage.images import read_depth_png, read_rgb

SHARED = Path(__file__).parents[2] / "../shared"
NYU, HYPERSIM = SHARED / "data/real/nyu_depth_v2", SHARED / "data/real/hypersim"
META = HYPERSIM / "meta"

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not NYU.is_dir(), reason="the pack of real frames is not here (../shared/data/real)"),
]


def test_nyu_splits_count_from_one():
    splits = loadmat(NYU / "meta/splits.mat")
    train, test = splits["trainNdxs"], splits["testNdxs"]
    assert (train.shape, test.shape, train.dtype) == ((795, 1), (654, 1), np.uint16)
    assert sorted([*train.ravel(), *test.ravel()]) == list(range(1, 1450))
    assert test.ravel()[:4].tolist() == [1, 2, 9, 14]
    assert train.ravel()[:4].tolist() == [3, 4, 5, 6]


def test_nyu_class_mappings():
    table = read_class_mapping(NYU / "meta/classMapping40.mat")
    assert table[0] == 0
    assert table[157] == 4  # bed
    counts = Counter(table[1:].tolist())
    assert (counts[38], counts[39], counts[40]) == (68, 82, 707)
    assert all(counts[number] == 1 for number in range(1, 38))
    names = [str(cell[0]) for cell in loadmat(NYU / "meta/classMapping40.mat")["className"][0]]
    assert [name.replace(" ", "_") for name in names] == list(NAMES40)
    thirteen = read_class13_mapping(NYU / "meta/class13Mapping.mat")
    assert thirteen.shape == (41,)
    assert set(thirteen[1:].tolist()) == set(range(1, 14))
    assert thirteen[4] == 1  # bed
    assert 894 % 256 == 126  # labels cut down to 8 bits merge classes


def test_nyu_13_classes_are_those_of_the_40():
    """The published 13-class maps are the 40-class ones through the mapping, on the frames that have both."""
    table = read_class13_mapping(NYU / "meta/class13Mapping.mat")
    with tarfile.open(NYU / "labels13_test/nyuv2_test_class13.tgz") as archive:
        members = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}
        assert len(members) == 654
        for index in (433, 464):
            content = archive.extractfile(members[f"new_nyu_class13_{index:04d}.png"]).read()
            published = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
            labels = cv2.imread(str(NYU / f"frames_16bit_drsleep/segm_gt_{index:06d}.png"), cv2.IMREAD_UNCHANGED)
            labels40 = np.where(labels == 255, 0, labels.astype(int) + 1)
            np.testing.assert_array_equal(table[labels40], published)


def test_nyu_border_is_white_and_tells_mirrored_images():
    for path in (NYU / "test_rgb_png_densedepth").glob("*.png"):
        image = read_rgb(path)
        white = (image == 255).all(0).numpy()
        edges = (white.all(1), white.all(0), white.all(1)[::-1], white.all(0)[::-1])
        assert tuple(int(np.argmin(edge)) for edge in edges) == WHITE_BORDER
        assert not looks_mirrored(image)
        assert looks_mirrored(image.flip(-1))
    mirrored = [looks_mirrored(read_rgb(path)) for path in (NYU / "subset_mirrored/nyu_images").glob("*.jpg")]
    assert np.mean(mirrored) > 0.97  # of a dump that is mirrored; JPEG hides a few borders
    frames = list((NYU / "raw_train_metric3d/rgb").glob("*.jpg"))
    assert frames
    assert not any(looks_mirrored(read_rgb(path)) for path in frames)


def test_nyu_raw_depth_has_holes_and_a_window():
    for path in (NYU / "frames_16bit_drsleep").glob("depth_gt_*.png"):
        depth = read_depth_png(path, unit=1 / 5000)
        rows, columns = np.flatnonzero((depth > 0).any(1)), np.flatnonzero((depth > 0).any(0))
        assert (rows[0], rows[-1]) == (41, 471)
        assert columns[0] in range(34, 40)
        assert columns[-1] == 609
        assert 0.32 < (depth == 0).mean() < 0.375
        assert depth.max() < 10


def test_nyu_camera():
    annotations = json.loads((NYU / "raw_train_metric3d/test_annotations.json").read_text())["files"]
    for annotation in annotations:
        np.testing.assert_allclose(annotation["cam_in"], CAMERA, rtol=1e-6)
        assert annotation["depth_scale"] == 1000
    np.testing.assert_allclose(np.load(NYU / "frame_1339_unidepth/intrinsics.npy"), intrinsics(), rtol=1e-6)


def test_nyu_lists_agree_with_the_split():
    splits = loadmat(NYU / "meta/splits.mat")
    test = [int(index) - 1 for index in splits["testNdxs"].ravel()]
    lines = [line.split() for line in read_lines(NYU / "splits/newcrfs_nyudepthv2_test_files_with_gt.txt", "")]
    assert sorted(int(line[0].split("rgb_")[1][:5]) for line in lines) == test  # BTS counts from 0
    assert {line[2] for line in lines} == {"518.8579"}
    types = Counter(line[0].split("/")[0] for line in lines)
    assert [types[name] for name in ("kitchen", "living_room", "bedroom", "bathroom")] == [106, 107, 191, 58]
    for part, scenes, kinds in (("train", 249, 27), ("test", 215, 16)):
        lines = [line.split() for line in read_lines(NYU / f"splits/marigold_filename_list_{part}.txt", "")]
        assert [int(line[0].split("rgb_")[1][:4]) for line in lines] == splits[f"{part}Ndxs"].ravel().tolist()
        names = {line[0].split("/")[1] for line in lines}
        assert len(names) == scenes
        assert len({name.rsplit("_", 1)[0] for name in names}) == kinds


def test_a_bts_frame_is_read_as_millimetres_with_a_black_border():
    folder = NYU / "frame_1339_unidepth"
    frame = TreeFrame(folder / "rgb.png", folder / "depth.png", "living_room", 1338, 1338)
    read = TreeReader([frame], min_depth=1e-3, max_depth=10).read(0)
    depth = read.maps["depth"][0].numpy()
    assert 0.3 < (depth == 0).mean() < 0.35
    assert depth.max() == 10.0  # clipped, and kept by a range that is closed above
    with h5py.File(NYU / "converted_labeled_mat/nyu_depth_v2_labeled_mini3_raw.mat") as file:
        np.testing.assert_allclose(depth, file["rawDepths"][2].T, atol=1e-6)
    top, left, bottom, right = BLACK_WINDOW
    dark = read.image.max(0).values.numpy() < 32  # JPEG rings over the edge
    assert dark[: top - 1].all()
    assert dark[bottom + 1 :].all()
    assert dark[:, : left - 2].all()
    assert dark[:, right + 2 :].all()


def test_bts_training_frames():
    for path in sorted((NYU / "raw_train_metric3d/depth").glob("*.png")):
        colour = NYU / "raw_train_metric3d/rgb" / path.name.replace("sync_depth", "rgb").replace("png", "jpg")
        depth = TreeReader([TreeFrame(colour, path, "basement_0001a", 0, 0)], min_depth=1e-3, max_depth=10).read_depth(
            0
        )
        assert 0.245 < (depth == 0).float().mean() < 0.34
        rows, columns = (depth[0] > 0).any(1).nonzero(), (depth[0] > 0).any(0).nonzero()
        assert rows.min() >= 41
        assert rows.max() <= 471
        assert columns.min() >= 29
        assert columns.max() <= 609


def test_hypersim_split_and_lists():
    parts = read_official_split(META / SPLIT_FILE)
    assert {part: len(frames) for part, frames in parts.items()} == {"train": 59543, "val": 7386, "test": 7690}
    assert {part: len({f.scene for f in frames}) for part, frames in parts.items()} == {
        "train": 365,
        "val": 46,
        "test": 46,
    }
    released = {frame for frames in parts.values() for frame in frames}
    assert len(released) == 74_619
    flagged = read_flagged(META / FLAGGED_FILE)
    assert len(flagged) == 2681
    assert not flagged & released
    with (META / SPLIT_FILE).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 82_900
    reasons = Counter(row["exclude_reason"] for row in rows if row["included_in_public_release"] == "False")
    assert sorted(reasons.values()) == [2681, 2800, 2800]
    for part, count in (("train", 53_885), ("val", 7370), ("test", 7682)):
        name = f"marigold_hypersim_depth_filename_list_{part}_filtered.txt"
        frames = read_frame_list(HYPERSIM / "splits" / name, "")
        assert len(set(frames)) == len(frames) == count
        assert set(frames) <= set(parts[part])
    assert read_frame_list(HYPERSIM / "splits/depth_anything_v2_val.txt", "") == parts["val"]


def test_semantic_md_selection_follows_its_rule():
    """{its scenes} x {frame id up to 32 (train), 13 (val)} x {released} minus 52: 19,399 and 1,203 frames."""
    with (SHARED / "reference/lists/semantic_md_scene_split.csv").open() as file:
        scenes = {row["scene"]: row["split"] for row in csv.DictReader(file)}
    with (SHARED / "reference/lists/semantic_md_excluded_train_frames.csv").open() as file:
        excluded = {HyperSimFrame(r["scene"], int(r["camera"][-2:]), int(r["frame"])) for r in csv.DictReader(file)}
    released = [frame for frames in read_official_split(META / SPLIT_FILE).values() for frame in frames]
    chosen = Counter(
        scenes[frame.scene]
        for frame in released
        if frame.scene in scenes and frame.frame <= (32 if scenes[frame.scene] == "train" else 13)
    )
    assert Counter(scenes.values()) == {"train": 362, "val": 45, "test": 45}
    assert len(excluded) == 52
    assert (chosen["train"] - len(excluded), chosen["val"], chosen["test"]) == (19_399, 1203, 933)


def test_semantic_md_lists_are_read_wherever_they_were_written(tmp_path):
    line = "/cluster/of/the/authors/HyperSim_Data/image/ai_044_010/images/scene_cam_01_final_hdf5/frame.0007.color.hdf5"
    (tmp_path / "val_imgPath.txt").write_text(f"{line}\n")
    assert read_frame_list(tmp_path / "val_imgPath.txt", "") == [HyperSimFrame("ai_044_010", 1, 7)]


@pytest.fixture(scope="module")
def cameras():
    with (META / CAMERA_FILE).open() as file:
        scenes = [row["scene_name"] for row in csv.DictReader(file)]
    assert len(scenes) == 482
    return read_cameras(META / CAMERA_FILE, scenes)


def test_hypersim_cameras_mostly_differ_from_the_default(cameras):
    centred = [m for m in cameras.values() if abs(m[0, 0] - 0.5773503) < 1e-6 and abs(m[0, 2]) < 1e-9]
    assert len(centred) == 205
    assert sum(np.allclose(m, constant_camera(), atol=1e-5) for m in centred) == 198  # the others are tilted
    released = {f.scene for frames in read_official_split(META / SPLIT_FILE).values() for f in frames}
    usual = planar_factor(constant_camera(), 192, 256)
    errors = np.array([np.abs(planar_factor(cameras[scene], 192, 256) / usual - 1).max() for scene in sorted(released)])
    assert len(errors) == 457
    counts = [int((errors > share).sum()) for share in (0.01, 0.02, 0.05, 0.1)]
    np.testing.assert_allclose(counts, [141, 74, 23, 2], atol=2)  # at the very corners; this grid ends just inside


def test_hypersim_planar_depth_of_a_real_frame(cameras):
    """Against float64 by hand, and against the golden values; the 886.81 shortcut is off by 2.3 % and up to 0.38 m."""
    name, matrix = HyperSimFrame("ai_037_002", 0, 0), cameras["ai_037_002"]
    with h5py.File(name.path(HYPERSIM, "depth_meters")) as file:
        stored = file["dataset"]
        assert (stored.shape, stored.dtype, stored.chunks, stored.compression_opts) == (
            (768, 1024),
            np.float16,
            (96, 128),
            9,
        )
        distance = stored[()].astype(np.float64)
    assert (round(distance.min(), 3), round(distance.max(), 3)) == (2.961, 13.234)

    expected = np.empty_like(distance)
    columns = np.arange(1024)
    for row in range(768):
        u, v = (columns + 0.5) / 1024 * 2 - 1, 1 - (row + 0.5) / 768 * 2
        ray = [matrix[i, 0] * u + matrix[i, 1] * v + matrix[i, 2] for i in range(3)]
        expected[row] = -distance[row] * ray[2] / np.sqrt(ray[0] ** 2 + ray[1] ** 2 + ray[2] ** 2)
    options = {"labels": False, "min_depth": 1e-3, "max_depth": 100.0}
    depth = HyperSimReader(HYPERSIM, [name], {"ai_037_002": matrix}, **options).read_depth(0)[0].numpy()
    np.testing.assert_allclose(depth, expected, rtol=2**-11)
    np.testing.assert_allclose(depth, expected, rtol=1e-6)  # and far better than half precision

    shortcut = HyperSimReader(HYPERSIM, [name], {"ai_037_002": constant_camera()}, **options).read_depth(0)[0].numpy()
    assert np.mean(np.abs(shortcut / expected - 1)) == pytest.approx(0.023, abs=0.0005)
    assert np.abs(shortcut - expected).max() == pytest.approx(0.38, abs=0.005)
    golden = np.load(SHARED / "reference/golden/hypersim_planar.npz")
    grid = np.ix_(golden["rows"], golden["cols"])
    np.testing.assert_allclose(depth[grid], golden["planar"], rtol=1e-6)
    np.testing.assert_allclose(shortcut[grid], golden["shortcut"], rtol=1e-6)


def test_hypersim_camera_matrix_of_a_tilted_lens(cameras):
    """K takes a point on a pixel's ray back to the pixel, also where K is not upper triangular."""
    matrix = cameras["ai_037_002"]
    k = camera_matrix(matrix, 768, 1024)
    assert abs(k[2, 1]) > 1e-3
    for x, y in ((0, 0), (1023, 0), (511.5, 383.5), (100, 700)):
        ray = matrix @ [(x + 0.5) / 1024 * 2 - 1, 1 - (y + 0.5) / 768 * 2, 1]
        point = 3.7 * ray * [1, -1, -1]  # x right, y down, z forward
        projected = k @ point
        np.testing.assert_allclose(projected[:2] / projected[2], [x, y], atol=1e-8)
    usual = camera_matrix(cameras["ai_001_001"], 768, 1024)
    np.testing.assert_allclose(usual, [[886.81, 0, 511.5], [0, 886.81, 383.5], [0, 0, 1]], atol=1e-3)


def test_hypersim_files_beside_the_frames():
    trajectory = HYPERSIM / "ai_037_002/_detail/cam_00"
    with h5py.File(trajectory / "camera_keyframe_positions.hdf5") as file:
        assert (file["dataset"].shape, file["dataset"].dtype) == ((100, 3), np.float64)
    with h5py.File(trajectory / "camera_keyframe_orientations.hdf5") as file:
        rotations = file["dataset"][()]
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3)[None].repeat(100, 0), atol=1e-6)
    with h5py.File(HYPERSIM / "ai_037_002/_detail/mesh/mesh_objects_sii.hdf5") as file:
        assert (file["dataset"].shape, file["dataset"].dtype) == ((985, 1), np.int64)
    header, *rows = (
        [cell.strip() for cell in line.split(",")] for line in read_lines(META / "semantic_label_descs.csv", "")
    )
    assert header[:2] == ["semantic_id", "semantic_name"]
    assert [row[1] for row in rows[:3]] == ["wall", "floor", "cabinet"]
    with (META / CAMERA_FILE).open() as file:
        scales = {row["scene_name"]: row["settings_units_info_meters_scale"] for row in csv.DictReader(file)}
    assert float(scales["ai_001_001"]) == pytest.approx(0.0254)
    assert float(scales["ai_037_002"]) == pytest.approx(0.01)


def test_hypersim_walls_and_floor_have_no_instance():
    folder = HYPERSIM / "preview_ai_001_001"
    ids = {}
    for kind in ("semantic", "semantic_instance"):
        with h5py.File(folder / f"_detail/mesh/metadata_{kind}_colors.hdf5") as file:
            colours = file["dataset"][()]
        image = cv2.imread(str(folder / f"scene_cam_00_geometry_preview/_frame.0000.{kind}.png"), cv2.IMREAD_UNCHANGED)[
            ..., 2::-1
        ].astype(int)
        table = {tuple(colour): number for number, colour in enumerate(colours[1:].tolist(), start=1)} | {(0, 0, 0): -1}
        codes, inverse = np.unique(image.reshape(-1, 3), axis=0, return_inverse=True)
        ids[kind] = np.array([table[tuple(code)] for code in codes.tolist()])[inverse.ravel()]
    none = ids["semantic_instance"] == -1
    assert none.sum() == 509_304
    assert np.isin(ids["semantic"][none], (1, 2)).sum() == 507_355  # wall and floor
    assert (ids["semantic"][none] == -1).sum() == 1949


def test_hypersim_needs_its_tables_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"{SPLIT_FILE} is missing.*ml-hypersim"):
        HyperSimDataModule(str(tmp_path)).parts  # noqa: B018
    with pytest.raises(FileNotFoundError, match=r"test_imgPath\.txt is missing.*semantic_md"):
        HyperSimDataModule(str(tmp_path), frames="semantic_md").parts  # noqa: B018
    (tmp_path / SPLIT_FILE).write_bytes((META / SPLIT_FILE).read_bytes())
    with pytest.raises(
        FileNotFoundError, match=r"ai_001_001.*of one of 74619 incomplete frames of 74619.*missing: skip"
    ):
        HyperSimDataModule(str(tmp_path), cameras="constant").setup()


def test_ibims_names():
    names = [
        line.split()[0].removesuffix("_img.png")
        for line in read_lines(SHARED / "data/real/ibims1/marigold_ibims_test.txt", "")
    ]
    classes = Counter(name.rsplit("_", 1)[0] for name in names)
    assert len(names) == 100
    assert classes == {
        "corridor": 10, "factory": 8, "kitchen": 8, "lab": 11, "lectureroom": 10, "livingroom": 15,
        "meetingroom": 8, "office": 8, "restaurant": 12, "restroom": 2, "storageroom": 8,
    }  # fmt: skip


def test_previews_of_other_sets_have_the_stated_units():
    folder = SHARED / "data/real/other_rgbd_open3d"
    sun = cv2.imread(str(folder / "SUN_depth.png"), cv2.IMREAD_UNCHANGED)
    rotated = (sun >> 3) | (sun << 13)
    assert rotated.max() == 9870
    assert 0.3 < np.median(read_depth_png(folder / "TUM_depth.png", unit=1 / 5000)) < 5
    assert torch.is_tensor(read_rgb(folder / "SUN_color.jpg"))
