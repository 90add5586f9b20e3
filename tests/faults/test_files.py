"""Every file of every layout, broken in every way: the message names it, and only its own frame is lost."""

import errno
import io
import os

import pytest

from tests.helpers.complaints import SYSTEM_ERRORS, check_complaint, complaints, failing
from tests.helpers.faults import BROKEN_FILES

#: Files of one frame, by layout; the data set's other frames can still be read.
FRAME_FILES = [
    ("bts", "nyuv2/sync/*/rgb_*.jpg"),
    ("bts", "nyuv2/sync/*/sync_depth_*.png"),
    ("marigold", "nyuv2/*/*/rgb_*.png"),
    ("marigold", "nyuv2/*/*/depth_*.png"),
    ("oc", "nyuv2_oc/NYUv2_OCpp/oc/*.png"),
    ("hypersim", "hypersim/*/images/*/*.color.hdf5"),
    ("hypersim", "hypersim/*/images/*/*.depth_meters.hdf5"),
    ("hypersim", "hypersim/*/images/*/*.semantic.hdf5"),
    ("hypersim", "hypersim/*/images/*/*.semantic_instance.hdf5"),
    ("hypersim", "hypersim/*/images/*/*.render_entity_id.hdf5"),
    ("preview", "hypersim/*/images/*/*.tonemap.jpg"),
    ("ibims_mat", "ibims1/ibims1_core_mat/*.mat"),
    ("ibims_png", "ibims1/ibims1_core_raw/rgb/*.png"),
    ("ibims_png", "ibims1/ibims1_core_raw/depth/*.png"),
    ("ibims_png", "ibims1/ibims1_core_raw/edges/*.png"),
    ("ibims_png", "ibims1/ibims1_core_raw/mask_invalid/*.png"),
    ("ibims_png", "ibims1/ibims1_core_raw/calib/*.txt"),
    ("raw", "raw/*/d-*.pgm"),
    ("raw", "raw/*/r-*.ppm"),
]

#: Files that the whole data set needs.
SHARED_FILES = [
    ("labeled", "nyuv2/nyu_depth_v2_labeled.mat"),
    ("labeled", "nyuv2/splits.mat"),
    ("labeled", "nyuv2/classMapping40.mat"),
    ("fused", "nyuv1/nyu_depth_data_labeled.mat"),
    ("store", "store/store.json"),
    ("store", "store/frames-00000.h5"),
]

TEXT_FILES = [
    ("bts", "nyuv2/nyudepthv2_train_files_with_gt.txt"),
    ("marigold", "nyuv2/filename_list_train.txt"),
    ("hypersim", "hypersim/metadata_images_split_scene_v1.csv"),
    ("hypersim", "hypersim/metadata_camera_parameters.csv"),
    ("ibims_png", "ibims1/imagelist.txt"),
]

#: Without these the data set is another one, and complete.
MAY_BE_MISSING = {
    "nyuv2/classMapping40.mat",
    "ibims1/imagelist.txt",
    "raw/*/r-*.ppm",
    "raw/*/d-*.pgm",
    "nyuv2_oc/NYUv2_OCpp/oc/*.png",
}

#: A shorter list is a list.
CASES = [
    (name, pattern, fault)
    for name, pattern in FRAME_FILES + SHARED_FILES + TEXT_FILES
    for fault in BROKEN_FILES
    if not (fault == "missing" and pattern in MAY_BE_MISSING)
    and not (fault == "truncated" and (name, pattern) in TEXT_FILES)
]


def test_unbroken_layouts_are_read(layout):
    names = dict(FRAME_FILES + SHARED_FILES)
    assert {name: complaints(layout(name, name).module()) for name in names} == {name: [] for name in names}


@pytest.mark.parametrize(("name", "pattern", "fault"), CASES)
def test_broken_file_is_named(layout, name, pattern, fault):
    data = layout(name)
    file = data.file(pattern)
    BROKEN_FILES[fault](file)
    found = complaints(data.module())
    assert found
    for text in found:
        check_complaint(text, file.name)
    if (name, pattern) in FRAME_FILES:
        assert len(found) == 1


@pytest.mark.parametrize("fault", SYSTEM_ERRORS)
@pytest.mark.parametrize(("name", "pattern"), FRAME_FILES + SHARED_FILES + TEXT_FILES)
def test_file_that_cannot_be_opened_is_named(layout, monkeypatch, name, pattern, fault):
    data = layout(name)
    file = data.file(pattern)
    with failing(monkeypatch, file, SYSTEM_ERRORS[fault]):
        found = complaints(data.module())
    assert found
    for text in found:
        check_complaint(text, file.name, "cannot be read")
    if (name, pattern) in FRAME_FILES:
        assert len(found) == 1


@pytest.mark.parametrize(("name", "pattern"), [("bts", "**/sync_depth_*.png"), ("raw", "raw/*/r-*.ppm")])
def test_read_error_behind_the_first_bytes_is_told_of(layout, monkeypatch, name, pattern):
    """A disk fails where it fails: the file is there, can be opened, and its first bytes are read."""
    data = layout(name)
    file, opened = data.file(pattern), io.open

    class Failing(io.FileIO):
        def read(self, size=-1):
            if size == 1:
                return super().read(size)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(io, "open", lambda path, *args: Failing(path) if path == file else opened(path, *args))
    (line,) = complaints(data.module())
    check_complaint(line, file.name, "cannot be read (Input/output error)")
