"""What is found on disk, against trees made here."""

import cv2
import numpy as np
import pytest

from experiments.datasets.inventory import SOURCES, find
from tests.helpers.tiny_nyu import write_tiny_nyu

BY_FOLDER = {source.folder: source for source in SOURCES}


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_every_folder_of_the_design_is_known():
    assert list(BY_FOLDER) == ["nyuv2", "nyuv1", "hypersim", "nyuv2_oc", "ibims1", "nyuv2_raw"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.folder)
def test_nothing_is_there(tmp_path, source):
    finding = find(source, tmp_path)
    assert not finding.complete
    assert finding.missing
    assert not finding.present
    assert not finding.damaged


def test_labelled_file(tmp_path):
    write_tiny_nyu(tmp_path / "nyuv2", frames=6)
    finding = find(BY_FOLDER["nyuv2"], tmp_path)
    assert finding.frames == {"labeled": 6}
    assert finding.missing == ()
    assert finding.present == ("nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat")
    assert [piece.name for piece in finding.absent] == ["class13Mapping.mat"]
    assert not finding.synthetic


def test_part_of_a_layout(tmp_path):
    write_tiny_nyu(tmp_path / "nyuv2")
    (tmp_path / "nyuv2/splits.mat").unlink()
    finding = find(BY_FOLDER["nyuv2"], tmp_path)
    assert not finding.complete
    assert finding.missing == ("splits.mat",)


def test_damaged_file(tmp_path):
    path = write_tiny_nyu(tmp_path / "nyuv2") / "nyu_depth_v2_labeled.mat"
    path.write_bytes(path.read_bytes()[:5000])
    finding = find(BY_FOLDER["nyuv2"], tmp_path)
    assert not finding.complete
    assert finding.missing == ()
    (line,) = finding.damaged
    assert "nyu_depth_v2_labeled.mat" in line
    assert "truncated" in line


def test_bts_tree_with_its_lists_in_a_repository_folder(tmp_path):
    root = tmp_path / "nyuv2"
    lines = {"train": "/bath_0001/rgb_{0:05d}.jpg /bath_0001/sync_depth_{0:05d}.png 518.8579\n",
             "test": "bath/rgb_{0:05d}.jpg bath/sync_depth_{0:05d}.png 518.8579\n"}  # fmt: skip
    folders = {"train": root / "sync/bath_0001", "test": root / "official_splits/test/bath"}
    (root / "train_test_inputs").mkdir(parents=True)
    for part, count in (("train", 3), ("test", 2)):
        for number in range(count):
            touch(folders[part], f"rgb_{number:05d}.jpg", f"sync_depth_{number:05d}.png")
        name = f"train_test_inputs/nyudepthv2_{part}_files_with_gt.txt"
        (root / name).write_text("".join(lines[part].format(number) for number in range(count)))
    assert find(BY_FOLDER["nyuv2"], tmp_path).frames == {"bts": 5}

    (folders["test"] / "sync_depth_00001.png").unlink()
    finding = find(BY_FOLDER["nyuv2"], tmp_path)
    assert not finding.complete
    assert "sync_depth_00001.png is missing" in finding.damaged[0]


def test_part_of_hypersim(tmp_path):
    images = "hypersim/ai_001_002/images"
    touch(tmp_path, *(f"{images}/scene_cam_00_geometry_hdf5/frame.{n:04d}.depth_meters.hdf5" for n in range(4)),
          *(f"{images}/scene_cam_00_geometry_hdf5/frame.{n:04d}.semantic.hdf5" for n in range(4)),
          "hypersim/metadata_camera_parameters.csv")  # fmt: skip
    finding = find(BY_FOLDER["hypersim"], tmp_path)
    assert finding.missing == ("metadata_images_split_scene_v1.csv",)
    touch(tmp_path, "hypersim/metadata_images_split_scene_v1.csv")
    finding = find(BY_FOLDER["hypersim"], tmp_path)
    assert finding.frames == {"released": 4}
    assert "metadata_images_flagged.txt" in [piece.name for piece in finding.absent]


@pytest.mark.parametrize(
    ("folder", "files", "frames"),
    [
        ("nyuv2_oc", ["NYUv2_OCpp/oc/0000_oc.png", "NYUv2_OCpp/oc/0013_oc.png", "NYUv2_OCpp/oc/x.png"], {"oc++": 2}),
        ("nyuv2_oc", ["oc/0000_oc.png"], {"oc++": 1}),
        ("nyuv2_oc", ["occlusion_boundaries/1_ob.png", "occlusion_boundaries/8_ob.png"], {"oc": 2}),
        ("ibims1", ["ibims1_core_mat/corridor_01.mat", "ibims1_core_mat/corridor_02.mat"], {"mat": 2}),
        ("ibims1", ["ibims1_core_raw/rgb/corridor_01.png", "ibims1_core_raw/depth/corridor_01.png"], {"png": 1}),
        ("nyuv2_raw", ["bath_0001/d-1.5-2.pgm", "bath_0001/r-1.5-3.ppm", "a/b/d-2.5-2.pgm"], {"scenes": 2}),
    ],
)
def test_trees_are_counted(tmp_path, folder, files, frames):
    touch(tmp_path / folder, *files)
    assert find(BY_FOLDER[folder], tmp_path).frames == frames


def test_rooms_in_disguise_are_told(tmp_path):
    folder = write_tiny_nyu(tmp_path / "nyuv2")
    (folder / "ROOMS.txt").write_text("Rooms")
    assert find(BY_FOLDER["nyuv2"], tmp_path).synthetic


def test_what_status_counts_the_module_reads(tmp_path):
    from datamodules import IBimsDataModule

    mask = np.full((4, 4), 255, np.uint8)
    for folder, picture in {
        "rgb": np.zeros((4, 4, 3), np.uint8), "depth": np.full((4, 4), 4000, np.uint16),
        "mask_invalid": mask, "mask_transp": mask,
    }.items():  # fmt: skip
        path = tmp_path / "ibims1/ibims1_core_raw" / folder / "corridor_01.png"
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), picture)
    calib = tmp_path / "ibims1/ibims1_core_raw/calib/corridor_01.txt"
    calib.parent.mkdir()
    calib.write_text("560,560,320,240\n")
    assert find(BY_FOLDER["ibims1"], tmp_path).frames == {"png": 1}
    assert len(IBimsDataModule(str(tmp_path / "ibims1")).reader) == 1
