"""List files and trees: where they are looked for, what their lines mean, and what is wrong with them."""

import logging

import cv2
import numpy as np
import pytest

from datamodules import NYUv2DataModule
from datamodules.nyuv2.labeled_format import BLACK_WINDOW
from datamodules.nyuv2.trees import TreeFrame, TreeReader, read_bts, read_marigold


def write_frame(root, image, depth, size=(48, 64), metres=2.5):
    for path, values in ((image, np.full((*size, 3), 200, np.uint8)), (depth, np.full(size, 1000 * metres, np.uint16))):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / path), values)


@pytest.fixture
def bts(tmp_path):
    """As the BTS repository and its download lie: lists in a folder of their own, leading slashes, `None` for a gap."""
    lists = tmp_path / "train_test_inputs"
    lists.mkdir()
    for scene, number in (("kitchen_0028a", 45), ("kitchen_0028a", 46), ("den_0001", 7)):
        write_frame(
            tmp_path / "sync",
            f"{scene}/rgb_{number:05d}.jpg",
            f"{scene}/sync_depth_{number:05d}.png",
            metres=number / 10,
        )
    write_frame(tmp_path / "official_splits/test", "bathroom/rgb_00045.jpg", "bathroom/sync_depth_00045.png")
    (lists / "nyudepthv2_train_files_with_gt.txt").write_text(
        "/kitchen_0028a/rgb_00045.jpg /kitchen_0028a/sync_depth_00045.png 518.8579\n"
        "/kitchen_0028a/rgb_00046.jpg None 518.8579\n"
        "/den_0001/rgb_00007.jpg /den_0001/sync_depth_00007.png 518.8579\n"
    )
    (lists / "nyudepthv2_test_files_with_gt.txt").write_text(
        "bathroom/rgb_00045.jpg bathroom/sync_depth_00045.png 518.8579\n"
    )
    return tmp_path


def test_bts_as_its_repository_lays_it_out(bts):
    train, test = read_bts(bts, "train"), read_bts(bts, "test")
    assert [(f.scene, f.frame, f.index) for f in train] == [("kitchen_0028a", 45, 0), ("den_0001", 7, 1)]
    assert [(f.scene, f.frame, f.index) for f in test] == [("bathroom", 45, 45)]
    module = NYUv2DataModule(str(bts), crop=(32, 32), num_workers=0)
    module.setup()
    assert module.found_layout == "bts"
    assert list(module.splits.train) == [0, 1]
    assert module.test_set[0]["index"] == 45
    assert module.train_set[0]["depth"].unique().item() == pytest.approx(4.5)
    assert module.provides >= {"depth"}
    assert "semantics" not in module.provides
    assert "layout: labeled" in module.hint("semantics")
    assert module.describe()["layout"] == "bts"


@pytest.mark.parametrize(
    ("lists", "taken", "others"),
    [
        (("bts",), "bts", "there is no other"),
        (("bts", "marigold"), "bts", "there too: marigold"),
        (("labeled", "bts", "marigold"), "labeled", "there too: bts, marigold"),
    ],
)
def test_auto_says_what_it_takes_and_what_else_is_there(tmp_path, caplog, lists, taken, others):
    files = {
        "labeled": "nyu_depth_v2_labeled.mat",
        "bts": "train_test_inputs/nyudepthv2_test_files_with_gt.txt",
        "marigold": "data_split/filename_list_test.txt",
    }
    for layout in lists:
        place = tmp_path / files[layout].replace("data_split", "data_splits")
        place.parent.mkdir(exist_ok=True)
        place.touch()
    with caplog.at_level(logging.INFO, "lightning.pytorch.utilities.rank_zero"):
        module = NYUv2DataModule(str(tmp_path))
        assert module.found_layout == module.found_layout == taken
    (said,) = caplog.messages
    assert said.startswith(f"nyuv2: layout `{taken}` is read (")
    assert others in said


def test_a_named_layout_is_taken_whatever_else_is_there(bts, caplog):
    (bts / "nyu_depth_v2_labeled.mat").touch()
    assert NYUv2DataModule(str(bts), layout="bts").found_layout == "bts"
    assert not caplog.messages


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "gone/rgb_00001.jpg gone/sync_depth_00001.png 518.8579",
            r"gone/rgb_00001\.jpg is missing, one of 2 missing files that",
        ),
        ("bathroom/rgb_00045.jpg", r"test_files_with_gt\.txt: line 2 is not `colour.jpg depth.png focal`"),
        ("bathroom/picture.jpg bathroom/depth.png 518.8579", r"test_files_with_gt\.txt: line 2 is not"),
    ],
)
def test_bts_lines_that_are_wrong(bts, line, message):
    path = bts / "train_test_inputs/nyudepthv2_test_files_with_gt.txt"
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        NYUv2DataModule(str(bts), crop=(32, 32), num_workers=0).setup()


def test_a_missing_list_says_where_it_comes_from(bts):
    (bts / "train_test_inputs/nyudepthv2_train_files_with_gt.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"nyudepthv2_train_files_with_gt\.txt is missing: it comes with BTS"):
        NYUv2DataModule(str(bts), crop=(32, 32)).setup()


def test_nothing_there_names_every_layout(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"labeled\.mat is missing.*nyudepthv2_test_files.*filename_list_test"):
        NYUv2DataModule(str(tmp_path)).setup()


def test_marigold_counts_from_one(tmp_path):
    names = [f"test/kitchen_0004/{kind}_0046.png" for kind in ("rgb", "depth", "filled")]
    write_frame(tmp_path, names[0], names[1], metres=1.5)
    write_frame(tmp_path, names[0], names[2], metres=3.0)
    (tmp_path / "filename_list_test.txt").write_text(" ".join(names) + "\n")
    for depth, metres in (("raw", 1.5), ("filled", 3.0)):
        (frame,) = read_marigold(tmp_path, "test", depth)
        assert (frame.scene, frame.index) == ("kitchen_0004", 45)
        read = TreeReader([frame], min_depth=1e-3, max_depth=10).read(0)
        assert read.maps["depth"].unique().item() == pytest.approx(metres)
    (tmp_path / "filename_list_test.txt").write_text("test/kitchen_0004/rgb_0046.png\n")
    with pytest.raises(ValueError, match=r"line 1 is not `rgb.png depth.png filled.png`; it comes with Marigold"):
        read_marigold(tmp_path, "test")


def test_a_black_border(tmp_path):
    write_frame(tmp_path, "rgb_1.png", "depth_1.png", size=(480, 640))
    frame = TreeFrame(tmp_path / "rgb_1.png", tmp_path / "depth_1.png", "den", 1, 1)
    image = TreeReader([frame], min_depth=1e-3, max_depth=10, border="black").read(0).image
    top, left, bottom, right = BLACK_WINDOW
    assert image.sum() == 3 * 200 * (bottom - top) * (right - left)
    assert image[:, top, left].tolist() == [200] * 3


def test_training_crops_stay_inside_the_border(bts):
    module = NYUv2DataModule(str(bts), crop=(32, 32), border="crop", num_workers=0)
    module.setup()
    top, left, bottom, right = module.train_window
    assert (top, left, bottom, right) == (4, 4, 47, 61)  # 45, 43, 472, 608 at a tenth
    with pytest.raises(ValueError, match="frames of 43x57 pixels are smaller than the training crop of 48x48"):
        NYUv2DataModule(str(bts), crop=(48, 48), border="crop", num_workers=0).setup()


def test_a_missing_training_file_is_found_at_setup_or_skipped(bts):
    (bts / "sync/den_0001/rgb_00007.jpg").unlink()
    options = {"crop": (32, 32), "eval_size": None, "num_workers": 0, "batch_size": 2}
    with pytest.raises(FileNotFoundError, match=r"den_0001/rgb_00007\.jpg is missing, one of 1 missing files"):
        NYUv2DataModule(str(bts), **options).setup()
    skipping = NYUv2DataModule(str(bts), on_bad_sample="skip", **options)
    skipping.setup()
    with pytest.warns(UserWarning, match=r"skipped: .*rgb_00007\.jpg is missing"):
        (batch,) = skipping.train_dataloader()
    assert sorted(batch["skipped"].tolist()) == [0, 1]
    assert batch["index"].tolist() == [0, 0]
    (bts / "official_splits/test/bathroom/rgb_00045.jpg").unlink()  # figures over other frames would be other figures
    with pytest.raises(FileNotFoundError, match=r"bathroom/rgb_00045\.jpg is missing"):
        NYUv2DataModule(str(bts), on_bad_sample="skip", **options).setup()


def test_frames_of_another_size_are_used_as_they_are(bts):
    write_frame(bts / "sync", "den_0001/rgb_00007.jpg", "den_0001/sync_depth_00007.png", size=(40, 64))
    module = NYUv2DataModule(str(bts), crop=(32, 32), num_workers=0)
    module.setup()
    assert module.train_set.sizes() == [(48, 64), (40, 64)]
    frame = module.reader.read(1)
    assert frame.size == (40, 64)
    assert frame.intrinsics[1, 1] == pytest.approx(519.46961 * 40 / 480)
    assert module.train_set[1]["image"].shape == (3, 32, 32)
    module.crop = (44, 44)
    module.setup()
    with pytest.raises(ValueError, match=r"frame 7: is 40x64 pixels, smaller than the training crop of 44x44"):
        module.train_set[1]
