"""Caches that are damaged are made again; those that cannot be written are told of."""

import numpy as np
import pytest
import torch

from datamodules.pipeline.frame_maps import FrameSuperpixels
from datamodules.pipeline.superpixels import GridSuperpixels
from tests.helpers.complaints import check_complaint, complaints
from tests.helpers.faults import delete, empty, replace_by_text, truncate

SUPERPIXELS = {"frame_maps": [FrameSuperpixels(GridSuperpixels(16))]}


def arrays(**content):
    return lambda path: np.savez_compressed(path, **content)


DAMAGES = {
    "truncated": truncate,
    "0 bytes": empty,
    "another format": replace_by_text,
    "missing": delete,
    "wrong key": arrays(segments=np.zeros((48, 64), np.int64)),
    "another key": arrays(superpixels=np.zeros((48, 64), np.int64), edges=np.zeros((48, 64))),
    "wrong shape": arrays(superpixels=np.zeros((48, 63), np.int64)),
    "wrong dtype": arrays(superpixels=np.array([object()])),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_map_is_made_again(layout, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / "cache"))
    data = layout("bts")
    truth = data.module(**SUPERPIXELS).reader.read(0).maps["superpixels"]
    (file,) = (tmp_path / "cache").glob("derived/*/000000.npz")
    content = file.read_bytes()
    DAMAGES[damage](file)
    again = data.module(**SUPERPIXELS).reader.read(0).maps["superpixels"]
    torch.testing.assert_close(again, truth, rtol=0, atol=0)
    assert file.read_bytes() == content


def test_folder_in_the_place_of_a_map(layout, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / "cache"))
    data = layout("bts")
    data.module(**SUPERPIXELS).reader.read(0)
    (file,) = (tmp_path / "cache").glob("derived/*/000000.npz")
    file.unlink()
    file.mkdir()
    (line,) = complaints(data.module(**SUPERPIXELS))
    check_complaint(line, str(file.parent), "SEGDEPTH_CACHE")


def test_cache_that_cannot_be_written(layout, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("in the way")
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / "cache"))
    data = layout("bts")
    for line in complaints(data.module(**SUPERPIXELS)):
        check_complaint(line, str(tmp_path / "cache"), "SEGDEPTH_CACHE")
    module = data.module(**SUPERPIXELS, on_bad_sample="skip")
    module.setup()
    with pytest.raises(OSError, match="cannot be written"):  # skipping is for frames, not for a full disk
        module.train_set[0]


@pytest.mark.parametrize("damage", ["truncated", "0 bytes", "another format", "missing"])
def test_damaged_statistic_is_made_again(layout, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / "cache"))
    module = layout("bts").module()
    truth = module.train_depth_median()
    (file,) = (tmp_path / "cache/statistics").iterdir()
    if damage == "truncated":
        file.write_text("[1.5")
    else:
        DAMAGES[damage](file)
    assert module.train_depth_median() == truth > 0
