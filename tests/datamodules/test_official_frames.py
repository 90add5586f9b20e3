"""Only NYUv2's own frames bear its name, and what a file says of its origin stands beside every figure."""

import logging
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from datamodules import NYUv2DataModule, NYUv2OCDataModule
from datamodules.nyuv2.official import is_test_frame, other_scenes
from datamodules.storage.store import StorePlan, write_store
from experiments.results.finished_runs import RunResult
from experiments.results.measured import remarks
from experiments.results.published import TEST_DATA
from tests.datamodules.nyuv2.test_trees import write_frame
from tests.helpers.tiny_nyu import write_tiny_nyu

PLAIN = {"crop": (32, 32), "eval_size": None, "num_workers": 0}


def tree(root: Path, test: str, train: str = "kitchen_0028a/rgb_00045") -> NYUv2DataModule:
    """A BTS tree of one training and one test frame."""
    for part, folder, name in (("train", "sync", train), ("test", "official_splits/test", test)):
        image, depth = f"{name}.jpg", f"{name.replace('rgb', 'sync_depth')}.png"
        write_frame(root / folder, image, depth)
        (root / f"nyudepthv2_{part}_files_with_gt.txt").write_text(f"{image} {depth} 518.8579\n")
    return NYUv2DataModule(str(root), **PLAIN)


def test_the_official_test_part():
    assert sum(map(is_test_frame, range(-2, 2000))) == 654
    assert [index for index in range(20) if is_test_frame(index)] == [0, 1, 8, 13, 14, 15, 16, 17]


@pytest.mark.parametrize(
    ("folder", "test", "train", "name"),
    [
        ("lab", "bathroom/rgb_00045", "kitchen_0028a/rgb_00045", "nyuv2"),
        ("lab", "bathroom/rgb_00044", "kitchen_0028a/rgb_00045", "lab"),  # a training frame
        ("lab", "car_park/rgb_00045", "kitchen_0028a/rgb_00045", "lab"),
        ("lab scans", "bathroom/rgb_02000", "kitchen_0028a/rgb_00045", "lab_scans"),
        ("lab", "bathroom/rgb_00045", "garage/rgb_00045", "lab"),
        ("nyuv2", "bathroom/rgb_00044", "kitchen_0028a/rgb_00045", "not_nyuv2"),
        ("hypersim", "bathroom/rgb_00044", "kitchen_0028a/rgb_00045", "not_hypersim"),
    ],
)
def test_a_tree_of_other_frames_bears_its_folders_name(tmp_path, caplog, folder, test, train, name):
    with caplog.at_level(logging.INFO):
        module = tree(tmp_path / folder, test, train)
        module.setup()
        assert module.name == name
    assert module.describe()["name"] == name
    assert ("not NYUv2's official frames" in caplog.text) == (name != "nyuv2")


def test_boundaries_of_other_frames_too(tmp_path):
    tree(tmp_path / "lab", "bathroom/rgb_00044")
    assert NYUv2OCDataModule(str(tmp_path / "lab"), **PLAIN).name == "lab_oc"


def test_a_labelled_file_of_other_scenes(tmp_path):
    path = write_tiny_nyu(tmp_path / "lab") / "nyu_depth_v2_labeled.mat"
    assert NYUv2DataModule(str(tmp_path / "lab"), **PLAIN).name == "nyuv2"
    with h5py.File(path, "r+") as file:
        for reference in file["scenes"][0]:
            file[reference][0] = ord("x")
    assert NYUv2DataModule(str(tmp_path / "lab"), **PLAIN).name == "lab"
    assert other_scenes(["kitchen_0004"] * 19 + ["renamed"]) is None


def test_what_a_file_says_stands_beside_its_figures(tmp_path):
    """Through preprocessing and a store, to the remarks of tables."""
    path = write_tiny_nyu(tmp_path / "nyuv2") / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "r+") as file:
        file.attrs["provenance"] = "NYUv2 (8-bit filled depth)\n"
        depth = file["depths"][()]
        file["depths"][...] = (np.floor(depth * 20) + 0.5) / 20
    module = NYUv2DataModule(str(tmp_path / "nyuv2"), **PLAIN)
    said = module.describe()["remarks"]
    assert said[0] == "NYUv2 (8-bit filled depth)"
    assert said[1].startswith("depth of ")
    assert said[2] == "in-painted depth, no rawDepths"
    parts = {name: [int(n) for n in positions] for name, positions in vars(module.splits).items()}
    plan = StorePlan(module.name, module.reader.identity, module.all_options, parts)
    list(write_store(module.reader, tmp_path / "store", plan))
    shutil.rmtree(tmp_path / "nyuv2")
    stored = NYUv2DataModule(str(tmp_path / "nyuv2"), store=str(tmp_path / "store"), **PLAIN)
    assert (stored.name, stored.describe()["remarks"]) == ("nyuv2", said)
    folder = tmp_path / "runs/a/b"
    folder.mkdir(parents=True)
    (folder / "environment.json").write_text('{"data": {"name": "nyuv2", "remarks": ["NYUv2 (8-bit filled depth)"]}}')
    result = RunResult(folder, "nyuv2", {"abs_rel": 0.1}, {})
    assert "NYUv2 (8-bit filled depth)" in remarks(result, TEST_DATA["NYUv2"])


def test_fine_depth_is_not_remarked_on(tmp_path):
    path = write_tiny_nyu(tmp_path / "nyuv2", raw=True) / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "r+") as file:
        file["rawDepths"][...] = np.random.default_rng(0).uniform(1, 5, file["rawDepths"].shape)
    assert NYUv2DataModule(str(tmp_path / "nyuv2"), **PLAIN).describe()["remarks"] == []
