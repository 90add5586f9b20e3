"""Data that was mended or fetched again under the same names: nothing made of the old files is taken for it."""

import os

import cv2
import pytest

from tests.faults.conftest import convert

#: Of each layout, files that a frame is read from.
FILES = {
    "labeled": ("nyuv2/*labeled.mat",),
    "bts": ("nyuv2/**/*.jpg", "nyuv2/**/sync_depth_*.png"),
    "marigold": ("nyuv2/**/rgb_*.png", "nyuv2/**/depth_*.png"),
    "oc": ("nyuv2/*labeled.mat", "nyuv2_oc/**/*.png"),
    "hypersim": ("hypersim/**/*.color.hdf5", "hypersim/**/*.depth_meters.hdf5", "hypersim/**/*.semantic.hdf5"),
    "preview": ("hypersim/**/*.tonemap.jpg", "hypersim/**/*.depth_meters.hdf5"),
    "ibims_mat": ("ibims1/ibims1_core_mat/*.mat",),
    "ibims_png": ("ibims1/ibims1_core_raw/depth/*.png", "ibims1/ibims1_core_raw/calib/*.txt"),
    "raw": ("raw/**/*.pgm", "raw/**/*.ppm"),
    "fused": ("nyuv1/*.mat", "nyuv2/*labeled.mat"),
}


@pytest.mark.parametrize(("name", "pattern"), [(name, pattern) for name, all_ in FILES.items() for pattern in all_])
def test_a_file_that_is_written_anew_is_another_data_set_to_every_cache(layout, name, pattern):
    data = layout(name)
    file = data.file(pattern)
    before, times = data.module().reader.identity, (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    os.utime(file, ns=(times[0], times[1] + 1000))
    assert data.module().reader.identity != before
    os.utime(file, ns=times)  # as a copy that keeps times has it
    assert data.module().reader.identity == before


def test_depth_in_another_unit_gives_another_median_and_no_old_store(layout, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / "cache"))
    data = layout("bts")
    median = data.module().train_depth_median()
    convert(data.module(), tmp_path / "store")
    for file in data.folder.glob("**/sync_depth_*.png"):
        cv2.imwrite(str(file), cv2.imread(str(file), cv2.IMREAD_UNCHANGED) // 2)
    assert data.module().train_depth_median() == pytest.approx(median / 2, rel=0.01)
    with pytest.raises(ValueError, match="holds a store of other data"):
        convert(data.module(), tmp_path / "store")
