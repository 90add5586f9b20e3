"""Boundary maps as they are found: palettes, colours, grey values, empty ones, and frames without."""

import cv2
import numpy as np
import pytest
from PIL import Image

from datamodules import NYUv2OCDataModule
from datamodules.nyuv2.nyuv2_oc import read_boundaries
from tests.helpers.tiny_nyu import write_tiny_nyu

SIZE = (48, 64)


@pytest.fixture
def boundary():
    return np.random.default_rng(0).random(SIZE) > 0.9


def test_every_kind_of_png_is_the_same_map(tmp_path, boundary):
    byte = boundary.astype(np.uint8)
    grey, one = tmp_path / "grey.png", tmp_path / "one.png"
    cv2.imwrite(str(grey), byte * 255)
    cv2.imwrite(str(one), byte)
    cv2.imwrite(str(tmp_path / "rgb.png"), np.repeat(byte[..., None] * 255, 3, axis=2))
    cv2.imwrite(str(tmp_path / "antialiased.png"), np.where(boundary, 200, 90).astype(np.uint8))
    palette = Image.fromarray(byte)
    palette.putpalette([0, 0, 0, 255, 255, 255])
    palette.save(tmp_path / "palette.png")
    Image.fromarray(boundary).save(tmp_path / "one_bit.png")
    files = sorted(tmp_path.glob("*.png"))
    assert len(files) == 6
    for path in files:
        made = read_boundaries(path, SIZE)
        assert made.dtype.is_floating_point is False
        np.testing.assert_array_equal(made[0].numpy(), boundary, err_msg=path.name)


def test_an_empty_map_is_empty(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros(SIZE, np.uint8))
    assert not read_boundaries(tmp_path / "0.png", SIZE).any()


def test_a_cropped_repackaging_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "0000_oc.png"), np.zeros((40, 60), np.uint8))
    with pytest.raises(ValueError, match=r"0000_oc\.png: is 40x60 pixels, the frame 48x64; take the maps at"):
        read_boundaries(tmp_path / "0000_oc.png", SIZE)


def module(tmp_path, **options):
    return NYUv2OCDataModule(
        str(tmp_path / "nyuv2"), crop=(32, 32), eval_size=None, num_workers=0, eval_batch_size=4, **options
    )


@pytest.mark.parametrize(
    "pattern", ["NYUv2_OCpp/oc/{:04d}_oc.png", "oc/{:04d}_oc.png", "occlusion_boundaries/{}_ob.png"]
)
def test_frames_without_a_map_are_left_out_and_reported(tmp_path, boundary, pattern):
    write_tiny_nyu(tmp_path / "nyuv2")
    for index in (1, 4, 6, 7):  # 4..7 test
        path = tmp_path / "nyuv2_oc" / pattern.format(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.roll(boundary, index, 1).astype(np.uint8) * 255)
    (tmp_path / "nyuv2_oc/boundaries_list.txt").write_text("oc/0004_oc.png\n")
    made = module(tmp_path)
    with pytest.warns(UserWarning, match=r"1 of 4 test frames have no boundary map and are left out: 5 \(0-based\)"):
        made.setup()
    assert made.describe()["frames"] == {"train": 4, "val": 0, "test": 3}
    (batch,) = made.test_dataloader()
    assert batch["index"].tolist() == [4, 6, 7]
    for number, index in enumerate((4, 6, 7)):
        np.testing.assert_array_equal(batch["occlusion"][number, 0].numpy(), np.roll(boundary, index, 1))
    assert made.train_set[1]["occlusion"].any()
    assert not made.train_set[2]["occlusion"].any()
    assert "occlusion" in made.provides


def test_no_maps_at_all_say_where_they_come_from(tmp_path):
    write_tiny_nyu(tmp_path / "nyuv2")
    with pytest.raises(
        FileNotFoundError, match=r"nyuv2_oc/NYUv2_OCpp/oc has no boundary maps: put the maps of NYUv2-OC"
    ):
        module(tmp_path).setup()
    with pytest.raises(FileNotFoundError, match="occlusion_boundaries has no boundary maps"):
        module(tmp_path, convention="oc").setup()
