"""Every file of every layout, broken in every way: the message names it, and only its own frame is lost."""

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
MAY_BE_MISSING = {"classMapping40.mat", "imagelist.txt", "r-1.0-1.ppm", "d-1.0-1.pgm", "0003_oc.png"}


def test_unbroken_layouts_are_read(layout):
    names = dict(FRAME_FILES + SHARED_FILES)
    assert {name: complaints(layout(name, name).module()) for name in names} == {name: [] for name in names}


@pytest.mark.parametrize("fault", BROKEN_FILES)
@pytest.mark.parametrize(("name", "pattern"), FRAME_FILES + SHARED_FILES + TEXT_FILES)
def test_broken_file_is_named(layout, name, pattern, fault):
    data = layout(name)
    file = data.file(pattern)
    if fault == "missing" and file.name in MAY_BE_MISSING:
        pytest.skip("the data set is complete without it")
    if (name, pattern) in TEXT_FILES and fault == "truncated":
        pytest.skip("a shorter list is a list")
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
