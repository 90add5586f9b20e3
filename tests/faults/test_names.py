"""Files and folders whose names are not UTF-8: they are read, and told of in text that any terminal takes."""

import os
import sys
from pathlib import Path

import pytest
import torch

from datamodules.pipeline.frame_maps import FrameSuperpixels
from datamodules.pipeline.superpixels import GridSuperpixels
from tests.faults.conftest import LAYOUTS
from tests.helpers.complaints import check_complaint, complaints
from tests.helpers.faults import truncate

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")

#: "dépôt" in Latin-1.
NAME = os.fsdecode(b"d\xe9p\xf4t")


@pytest.mark.parametrize("name", LAYOUTS)
def test_folder_is_read(layout, name, monkeypatch, tmp_path):
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / f"cache{NAME}"))
    data = layout(name, NAME)
    maps = {"frame_maps": [FrameSuperpixels(GridSuperpixels(16))]} if name != "store" else {}
    module = data.module(**maps)
    assert complaints(module) == []
    module.setup()
    if len(module.splits.train):
        assert module.train_depth_median() > 0
    for position in range(len(module.reader)):
        (module.reader.source(position) + module.reader.read(position).scene).encode()
    again = data.module(**maps).reader.read(0)
    torch.testing.assert_close(again.maps, module.reader.read(0).maps)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("labeled", "nyuv2/nyu_depth_v2_labeled.mat"),
        ("labeled", "nyuv2/splits.mat"),
        ("labeled", "nyuv2/classMapping40.mat"),
        ("bts", "**/sync_depth_*.png"),
        ("hypersim", "**/*.depth_meters.hdf5"),
        ("ibims_mat", "**/*.mat"),
        ("raw", "**/r-*.ppm"),
        ("store", "store/store.json"),
        ("store", "store/*.h5"),
    ],
)
def test_broken_file_in_it_is_told_of(layout, name, pattern):
    data = layout(name, NAME)
    file = data.file(pattern)
    truncate(file)
    for line in complaints(data.module()):
        check_complaint(line, r"d\xe9p\xf4t", file.name)


def test_scene_of_such_a_name(layout):
    data = layout("raw")
    (data.folder / "raw/den_0001").rename(data.folder / f"raw/{NAME}_0001")
    module = data.module()
    assert complaints(module) == []
    assert module.reader.read(0).scene == r"d\xe9p\xf4t_0001"


def test_frame_of_such_a_name(layout):
    data = layout("raw")
    file = data.file("raw/*/d-*.pgm")
    file.rename(file.with_name(f"d-{NAME}.pgm"))
    (line,) = complaints(data.module())
    check_complaint(line, r"d-d\xe9p\xf4t.pgm")


def test_list_may_name_files_in_utf8(layout):
    data = layout("bts")
    folder = Path(data.file("nyuv2/sync/*"))
    folder.rename(folder.with_name("café_0003"))
    file = data.file("nyuv2/*train*.txt")
    file.write_text(file.read_text().replace(folder.name, "café_0003"), encoding="utf-8")
    module = data.module()
    assert complaints(module) == []
    assert "café_0003" in module.reader.scenes
