"""Frames of a folder, against what was written there by hand."""

import math
import shutil
import unicodedata

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import FolderDataModule
from tests.helpers.own_frames import describe, millimetres, picture, save, surface, write_frames

OPTIONS = {"crop": (32, 32), "eval_size": None, "num_workers": 0, "batch_size": 2, "eval_batch_size": 2}


def module(root, **options):
    return FolderDataModule(str(root), **{**OPTIONS, **options})


def one_frame(root, values, ending, **keys):
    """A folder of one frame with these values as its depth file."""
    save(root / "rgb/a.png", picture(0, values.shape[:2]))
    save(root / f"depth/a{ending}", values)
    return describe(root, **keys)


@pytest.mark.parametrize(
    ("ending", "stored", "depth"),
    [
        (".png", lambda metres: millimetres(metres), {"unit": "mm"}),
        (".png", lambda metres: (metres * 5000).round().astype(np.uint16), {"scale": 5000}),
        (".tif", lambda metres: millimetres(metres), {"unit": "mm"}),
        (".npy", lambda metres: metres.astype(np.float32), {}),
        (".npy", lambda metres: metres.astype(np.float32)[..., None], {"unit": "m"}),
        (".npy", lambda metres: (metres * 100).astype(np.float64), {"unit": "cm"}),
        (".npy", lambda metres: np.where(metres > 0, metres, np.nan).astype(np.float32), {}),
        (".tif", lambda metres: metres.astype(np.float32), {}),
        (".npy", lambda metres: np.where(metres > 0, 1 / np.maximum(metres, 1), 0), {"coding": "inverse"}),
    ],
)
def test_depth_of_every_form(tmp_path, ending, stored, depth):
    metres = surface(3)
    data = module(one_frame(tmp_path, stored(metres), ending, depth=depth))
    found = data.reader.read(0).maps["depth"][0].numpy()
    assert np.array_equal(found > 0, metres > 0)
    np.testing.assert_allclose(found, metres, atol=6e-4)


def test_openexr(tmp_path):
    openexr = pytest.importorskip("OpenEXR")
    root = one_frame(tmp_path, millimetres(surface(0)), ".png", depth={})
    (root / "depth/a.png").unlink()
    header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
    with openexr.File(header, {"Z": surface(0).astype(np.float32)}) as file:
        file.write(str(root / "depth/a.exr"))
    np.testing.assert_allclose(module(root).reader.read(0).maps["depth"][0].numpy(), surface(0), rtol=1e-6)


def test_whole_numbers_without_a_unit_are_not_guessed(tmp_path):
    data = module(one_frame(tmp_path, millimetres(surface(0)), ".png", depth={"range": [0.1, 10]}))
    with pytest.raises(ValueError, match=r"depth/a\.png: holds whole numbers \(uint16\).*set `depth\.unit: mm`"):
        data.reader.read(0)


def test_radial_distance_is_made_planar(tmp_path):
    metres = np.full((5, 7), 2.0)
    y, x = np.mgrid[:5, :7]
    rays = np.hypot(np.hypot((x - 3) / 10, (y - 2) / 20), 1)
    camera = {"fx": 10, "fy": 20, "cx": 3, "cy": 2}
    root = one_frame(tmp_path, metres * rays, ".npy", depth={"measured": "radial"}, camera=camera)
    data = module(root)
    np.testing.assert_allclose(data.reader.read(0).maps["depth"][0].numpy(), metres, rtol=1e-6)
    assert not data.radial


@pytest.mark.parametrize(
    ("ending", "dtype"), [(".png", np.uint8), (".png", np.uint16), (".png", bool), (".npy", float)]
)
def test_masks_take_depth_away(tmp_path, ending, dtype):
    root = one_frame(tmp_path, millimetres(surface(0)), ".png")
    mask = np.zeros((48, 64), dtype)
    mask[10:20, 5:9] = 1
    save(root / f"masks/a{ending}", mask)
    depth = module(root).reader.read(0).maps["depth"][0].numpy()
    assert np.array_equal(depth > 0, mask > 0)


def test_an_image_is_read_as_it_is(tmp_path):
    root = write_frames(tmp_path)
    frame = module(root).reader.read(1)
    assert np.array_equal(frame.image.permute(1, 2, 0).numpy(), picture(1))
    assert frame.scene == "attic"
    assert (frame.frame, frame.index) == (1, 1)
    assert frame.intrinsics.tolist() == [[60, 0, 31.5], [0, 60, 23.5], [0, 0, 1]]


class TestLabels:
    def test_ids_of_a_palette_and_names(self, tmp_path):
        root = one_frame(tmp_path, millimetres(surface(0)), ".png", classes=["wall", "chair"], unlabelled=[255])
        ids = np.zeros((48, 64), np.uint8)
        ids[20:30], ids[30:40] = 2, 255
        image = Image.fromarray(ids, mode="P")
        image.putpalette([value for n in range(256) for value in (n, 255 - n, 7)])
        (root / "semantics").mkdir()
        image.save(root / "semantics/a.png")
        save(root / "instances/a.png", np.full((48, 64), 300, np.uint16))
        data = module(root)
        frame = data.reader.read(0)
        assert frame.maps["semantics"].unique().tolist() == [0, 2]
        assert frame.maps["instances"].unique().tolist() == [300]
        assert data.classes == 2
        assert data.class_names == ("wall", "chair")

    def test_classes_have_to_be_named(self, tmp_path):
        root = one_frame(tmp_path, millimetres(surface(0)), ".png")
        save(root / "semantics/a.png", np.ones((48, 64), np.uint8))
        with pytest.raises(ValueError, match="key `classes` is missing, and there are semantics"):
            _ = module(root).reader
        describe(root, files={"semantics": None})
        assert module(root).reader.provides == {"depth"}
        describe(root, classes=1)
        save(root / "semantics/a.png", np.full((48, 64), 7, np.uint8))
        with pytest.raises(ValueError, match=r"semantics/a\.png: holds class 7, and `classes`"):
            module(root).reader.read(0)

    def test_pictures_are_no_ids(self, tmp_path):
        root = one_frame(tmp_path, millimetres(surface(0)), ".png", classes=3)
        save(root / "semantics/a.png", picture(0))
        with pytest.raises(ValueError, match="is a picture of 3 channels, ids are one number a pixel"):
            module(root).reader.read(0)


class TestCameras:
    @pytest.mark.parametrize(
        "text",
        ["60 61 31 23", "60, 61, 31, 23\n", "60 0 31\n0 61 23\n0 0 1\n", "60 0 31 0\n0 61 23 0\n0 0 1 0\n0 0 0 1\n"],
    )
    def test_a_file_a_frame_or_a_scene(self, tmp_path, text):
        root = write_frames(tmp_path, camera={"file": "{scene}/camera.txt"})
        for scene in ("attic", "cellar", "hall"):
            (root / scene).mkdir()
            (root / scene / "camera.txt").write_text(text)
        assert module(root).reader.read(3).intrinsics.tolist() == [[60, 0, 31], [0, 61, 23], [0, 0, 1]]

    def test_a_field_of_view(self, tmp_path):
        camera = module(write_frames(tmp_path, camera={"horizontal_fov": 90})).reader.read(0).intrinsics
        assert camera[0, 0] == pytest.approx(32)  # half the width, at 45 degrees
        assert camera[:2, 2].tolist() == [31.5, 23.5]

    def test_a_file_of_something_else(self, tmp_path):
        root = write_frames(tmp_path, camera={"file": "camera.txt"})
        (root / "camera.txt").write_text("fx=60")
        with pytest.raises(
            ValueError, match=r"camera\.txt: holds text, not the numbers of a camera; write fx fy cx cy"
        ):
            module(root).reader.read(0)
        (root / "camera.txt").unlink()
        with pytest.raises(FileNotFoundError, match=r"has no camera file: .*camera\.txt is not there"):
            module(root).setup("test")


class TestFaults:
    def test_a_missing_pair(self, tmp_path):
        root = write_frames(tmp_path, splits={"train": ["attic", "cellar"], "test": ["hall"]})
        (root / "depth/cellar/frame 1.png").unlink()
        with pytest.raises(FileNotFoundError, match=r"cellar/frame 1\.png: has no file of depth.*one of 1 frames"):
            module(root).setup()
        module(root).setup("test")  # which needs nothing of it

    def test_sizes_that_do_not_fit(self, tmp_path):
        root = write_frames(tmp_path)
        save(root / "depth/hall/frame 0.png", millimetres(surface(0, (40, 64))))
        with pytest.raises(ValueError, match=r"depth/hall/frame 0\.png: is 40x64 pixels, its frame .* 48x64; take"):
            module(root).reader.read(4)

    def test_an_image_that_cannot_be_read(self, tmp_path):
        root = write_frames(tmp_path)
        (root / "rgb/hall/frame 0.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
        data = module(root)
        assert data.frame_size == (48, 64)
        with pytest.raises(ValueError, match=r"hall/frame 0\.png: truncated, or not an image"):
            data.reader.read(4)

    def test_two_files_of_one_frame(self, tmp_path):
        root = write_frames(tmp_path)
        shutil.copy(root / "depth/hall/frame 0.png", root / "depth/hall/frame 0.tif")
        with pytest.raises(ValueError, match=r"frame 0\.png and frame 0\.tif would be of one frame; keep one"):
            _ = module(root).reader

    def test_no_image_at_all(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"there is no image at `rgb/\{scene\}/\{frame\}`"):
            _ = module(describe(tmp_path)).reader

    def test_another_unit(self, tmp_path):
        root = write_frames(tmp_path, depth={"unit": "m", "range": [0.1, 10]})
        with pytest.raises(ValueError, match=r"no depth in 0\.1\.\.10 m \(its median is .*another unit"):
            module(root).reader.read(0)


def test_names_of_all_sorts(tmp_path):
    """Blanks, letters of any script in either of their forms, dots, numbers that count."""
    decomposed = unicodedata.normalize("NFD", "Küche")
    for name in ("Bild 10", "Bild 2", "图片.v2"):
        save(tmp_path / "rgb" / decomposed / f"{name}.jpg", picture(0))
        save(tmp_path / "depth" / "Küche" / f"{name}.png", millimetres(surface(0)))
    (tmp_path / "rgb" / decomposed / "._Bild 2.jpg").write_bytes(b"macOS")
    data = module(describe(tmp_path, name="küche"))
    assert [frame.name for frame in data.reader.frames] == ["Bild 2", "Bild 10", "图片.v2"]
    assert set(data.reader.scenes) == {"Küche"}
    data.setup("test")
    assert len(list(data.test_dataloader())) == 2


def test_links_are_followed_and_loops_are_not(tmp_path):
    elsewhere = write_frames(tmp_path / "disk")
    own = describe(tmp_path / "own")
    (own / "rgb").symlink_to(elsewhere / "rgb")
    (own / "depth").symlink_to(elsewhere / "depth")
    (elsewhere / "rgb/attic/again").symlink_to(elsewhere / "rgb")
    assert len(module(own).reader) == 6


class TestParts:
    def test_all_is_tested_on_where_nothing_is_said(self, tmp_path):
        data = module(write_frames(tmp_path))
        assert (len(data.splits.train), len(data.splits.test)) == (0, 6)
        data.setup("test")
        with pytest.raises(FileNotFoundError, match=r"dataset\.yaml: key `splits` gives training no frame"):
            module(tmp_path).setup("fit")

    def test_scenes_by_name_and_pattern(self, tmp_path):
        data = module(write_frames(tmp_path, splits={"train": ["*a*"], "test": ["cellar"]}))
        with pytest.raises(ValueError, match="a frame of scene 'cellar' is in both"):
            _ = data.splits
        data = module(describe(tmp_path, splits={"train": ["at*", "hall"], "test": ["cellar"]}))
        assert data.splits.train == [0, 1, 4, 5]
        assert data.splits.test == [2, 3]
        with pytest.raises(ValueError, match=r"key `splits\.test`: there is no scene 'celar'; did you mean 'cellar'?"):
            _ = module(describe(tmp_path, splits={"test": ["celar"]})).splits

    def test_lists_of_frames_and_scenes(self, tmp_path):
        root = write_frames(tmp_path, splits={"train": "train.txt", "val": "val.txt", "test": "test.txt"})
        (root / "train.txt").write_text("attic\ncellar/frame 0\n")
        (root / "val.txt").write_text("rgb\\cellar\\frame 1.png\n")
        (root / "test.txt").write_text("rgb/hall/frame 0.png\nhall/frame 1\n")
        data = module(root)
        assert data.validates
        assert vars(data.splits) == {"train": [0, 1, 2], "val": [3], "test": [4, 5]}
        (root / "test.txt").write_text("hall/frame 1\nhall/frame 9\n")
        with pytest.raises(ValueError, match=r"test\.txt:2: there is no frame or scene 'hall/frame 9'; did you mean"):
            _ = module(root).splits
        (root / "test.txt").write_text("frame 1\n")
        with pytest.raises(ValueError, match=r"test\.txt:1: 'frame 1' names 3 frames; add their folder"):
            _ = module(root).splits
        (root / "test.txt").unlink()
        with pytest.raises(FileNotFoundError, match=r"test\.txt is missing: `splits\.test` of dataset\.yaml names it"):
            _ = module(root).splits

    def test_shares_of_scenes(self, tmp_path):
        scenes = [f"room {n}" for n in range(10)]
        root = write_frames(tmp_path, scenes, splits={"fractions": {"val": 0.2, "test": 0.3}, "seed": 1})
        data = module(root)
        parts = {part: {data.reader.scenes[p] for p in positions} for part, positions in vars(data.splits).items()}
        assert {part: len(own) for part, own in parts.items()} == {"train": 5, "val": 2, "test": 3}
        assert set.union(*parts.values()) == set(scenes)
        assert vars(module(root).splits) == vars(data.splits)
        describe(root, splits={"fractions": {"val": 0.2, "test": 0.3}, "seed": 2})
        assert vars(module(root).splits) != vars(data.splits)


class TestRelativeTruth:
    def test_depth_is_in_medians(self, tmp_path):
        root = one_frame(tmp_path, surface(0) * 7, ".npy", depth={}, truth="scale")
        data = module(root)
        depth = data.reader.read(0).maps["depth"]
        assert depth[depth > 0].median() == pytest.approx(1, rel=0.01)
        seen = surface(0)[4:]
        np.testing.assert_allclose(depth[0, 4:].numpy(), seen / np.median(seen), rtol=1e-6)
        assert data.truth == "scale"
        assert data.describe()["truth"] == "scale"
        assert data.remarks[-1] == "truth up to scale, in medians of each frame instead of metres"

    def test_metric_truth_is_not_marked(self, tmp_path):
        data = module(write_frames(tmp_path))
        assert "truth" not in data.describe()


def test_images_at_the_size_of_their_depth(tmp_path):
    save(tmp_path / "rgb/a.png", picture(0, (97, 130)))
    save(tmp_path / "depth/a.png", millimetres(surface(0)))
    frame = module(describe(tmp_path, image={"resize_to": "depth"})).reader.read(0)
    assert frame.image.shape == (3, 48, 64)
    save(tmp_path / "rgb/a.png", picture(0, (130, 97)))
    with pytest.raises(ValueError, match="the two do not show the same"):
        module(tmp_path).reader.read(0)


def test_one_camera_does_not_fit_frames_of_several_sizes(tmp_path):
    write_frames(tmp_path)
    for kind, values in (("rgb", picture(9, (60, 64))), ("depth", millimetres(surface(9, (60, 64))))):
        save(tmp_path / kind / "hall/frame 9.png", values)
    with pytest.raises(ValueError, match=r"key `camera` gives one matrix, but frames are of 2 sizes \(48x64, 60x64\)"):
        module(tmp_path).reader.read(0)
    describe(tmp_path, camera={"horizontal_fov": 2 * math.degrees(math.atan(0.5))})
    assert module(tmp_path).reader.read(6).intrinsics[0, 0] == pytest.approx(64)
    assert torch.equal(module(tmp_path).reader.read(6).maps["depth"][0] > 0, torch.from_numpy(surface(9, (60, 64)) > 0))
