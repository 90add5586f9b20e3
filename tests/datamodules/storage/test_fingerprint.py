"""The fingerprint follows the data, not the machine."""

import os
import shutil

import h5py
import pytest

from datamodules.nyuv2.nyuv2_datamodule import NYUv2DataModule
from tests.helpers.tiny_nyu import write_tiny_nyu


def fingerprint(root, **options):
    datamodule = NYUv2DataModule(root=str(root), crop=(24, 32), resize=None, val_scenes=0.5, **options)
    datamodule.prepare_data()
    datamodule.setup()
    return datamodule.fingerprint


@pytest.fixture
def folder(tmp_path):
    return write_tiny_nyu(tmp_path / "here" / "nyuv2")


def test_same_files_elsewhere_and_later(folder, tmp_path):
    first = fingerprint(folder)
    assert len(first) == 12
    shutil.copytree(folder, tmp_path / "there")
    os.utime(tmp_path / "there" / "nyu_depth_v2_labeled.mat", (0, 0))
    assert fingerprint(tmp_path / "there") == first


def test_what_belongs_to_the_method_plays_no_part(folder):
    assert fingerprint(folder, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)) == fingerprint(folder)


@pytest.mark.parametrize("options", [{"max_depth": 3.0}, {"seed": 1}, {"split": "random801010"}])
def test_other_options_or_parts(folder, options):
    if "seed" in options:
        write_tiny_nyu(folder, frames=16)  # enough scenes for another one to be held out
    assert fingerprint(folder, **options) != fingerprint(folder)


def test_other_depth(folder):
    first = fingerprint(folder)
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["depths"][-1, 0, 0] += 0.5
    assert fingerprint(folder) != first


def test_other_size_of_the_set(folder):
    first = fingerprint(folder)
    write_tiny_nyu(folder, frames=12)
    assert fingerprint(folder) != first
