"""NYU v1 and v2 as one set: scenes merged, classes matched by name, the split rule counted by hand."""

import csv
from collections import Counter

import h5py
import numpy as np
import pytest

from datamodules import NYUFusedDataModule, RegionSupportTarget
from datamodules.nyuv2.nyu_fused import match_names, split_by_scene
from tests.helpers.tiny_nyu import write_tiny_nyu

NAMES2 = [f"thing {number}" for number in range(1, 895)]


def write_names(path, names):
    with h5py.File(path, "r+") as file:
        cells = [
            file["#refs#"].create_dataset(f"name_{n}", data=np.array([[ord(c)] for c in name], np.uint16)).ref
            for n, name in enumerate(names)
        ]
        file.create_dataset("names", data=np.array([cells], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """v2 with scenes office_0000 .. 3; v1 with office_0000 and 1 (two frames each) and no instances."""
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / "cache"))
    write_tiny_nyu(tmp_path / "nyuv2", raw=True)
    write_tiny_nyu(tmp_path / "nyuv1", frames=4, raw=True)
    v1 = (tmp_path / "nyuv1/nyu_depth_v2_labeled.mat").rename(tmp_path / "nyuv1/nyu_depth_data_labeled.mat")
    write_names(tmp_path / "nyuv2/nyu_depth_v2_labeled.mat", NAMES2)
    write_names(v1, ["thing 21", "only in v1", "thing 5"])
    with h5py.File(v1, "r+") as file:
        del file["instances"]
        file["labels"][:] = 1
        file["labels"][:, :10] = 2
        file["labels"][:, 10:20] = 3
        file["labels"][:, 20:22] = 0
    return tmp_path


def module(root, **options):
    options = {"crop": (32, 32), "eval_size": None, "num_workers": 0, "test_share": 0.25, **options}
    return NYUFusedDataModule(str(root / "nyuv2"), **options)


def test_scenes_of_one_name_are_one_scene(root):
    made = module(root)
    made.setup()
    assert len(made.reader) == 12
    assert Counter(made.reader.scenes) == {"office_0000": 4, "office_0001": 4, "office_0002": 2, "office_0003": 2}
    frames = [made.reader.read(position) for position in range(12)]
    assert [frame.frame for frame in frames if frame.scene == "office_0000"] == [0, 1, 2, 3]
    assert [frame.index for frame in frames] == list(range(12))
    assert "instances" not in made.provides  # v1 has none
    assert made.reader.source(0).endswith("nyu_depth_data_labeled.mat: frame 0 (0-based)")
    assert made.reader.source(4).endswith("nyu_depth_v2_labeled.mat: frame 0 (0-based)")


def test_classes_are_matched_by_name(root):
    labels = module(root).reader.read(0).maps["semantics"]
    assert [labels[0, column].item() for column in (0, 10, 20, 63)] == [895, 5, 0, 21]
    nyu40 = module(root, classes=40).reader.read(0).maps["semantics"]
    assert [nyu40[0, column].item() for column in (0, 10, 20, 63)] == [0, 5, 0, 1]
    assert module(root).reader.read(4).maps["semantics"].unique().tolist() == [21]


def test_names_unknown_to_the_reference_are_numbered_once():
    assert match_names(["b", "x", "y", "x", "a"], ["a", "b"]) == [2, 3, 4, 3, 1]


def test_the_split_is_written_and_read_again(root):
    made = module(root, few_frames=2)
    made.setup()
    assert len(made.splits.test) == 3
    assert sorted([*made.splits.train, *made.splits.test]) == list(range(12))
    with made.split_path.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["data_set"] for row in rows] == ["nyuv1"] * 4 + ["nyuv2"] * 8
    assert {int(row["index"]) for row in rows if row["part"] == "test"} == set(made.splits.test)
    # A split that somebody edited is the one that counts.
    text = made.split_path.read_text().replace("0,nyuv1,0,office_0000,train", "0,nyuv1,0,office_0000,test")
    made.split_path.write_text(text)
    assert 0 in module(root, few_frames=2).splits.test
    made.split_path.write_text("\n".join(text.splitlines()[:-1]))
    with pytest.raises(ValueError, match=r"seed0.*\.csv: is .*of other frames"):
        module(root, few_frames=2).splits  # noqa: B018


def test_another_seed_is_another_split(root):
    splits = {tuple(module(root, seed=seed).splits.test) for seed in range(8)}
    assert len(splits) > 1
    assert len(list((root / "cache/splits").iterdir())) == 8


def test_the_rule_counted_by_hand():
    """40 frames, a quarter tests: 4 one-frame scenes go whole, 6 more come from scenes of 24 and 12 as 4 and 2."""
    scenes = [*["a"] * 24, *["b"] * 12, "c", "d", "e", "f"]
    for seed in range(5):
        test = split_by_scene(scenes, few_frames=1, test_share=0.25, seed=seed)
        assert Counter(scenes[position] for position in test) == {"a": 4, "b": 2, "c": 1, "d": 1, "e": 1, "f": 1}
    assert split_by_scene(scenes, 1, 0.25, 0) == split_by_scene(scenes, 1, 0.25, 0)
    assert split_by_scene(scenes, 1, 0.25, 0) != split_by_scene(scenes, 1, 0.25, 1)


def test_the_papers_counts_come_out():
    """3747 frames in 478 scenes of any sizes: 483 test, 3264 train; no rich scene is used up."""
    rng = np.random.default_rng(0)
    sizes = np.ones(478, dtype=int)
    np.add.at(sizes, rng.choice(478, 3747 - 478, p=rng.dirichlet(np.ones(478))), 1)
    scenes = [f"s{n}" for n, size in enumerate(sizes) for _ in range(size)]
    test = split_by_scene(scenes, 1, 483 / 3747, 0)
    assert len(test) == 483
    counts, drawn = Counter(scenes), Counter(scenes[position] for position in test)
    assert all(drawn[scene] == counts[scene] if counts[scene] == 1 else drawn[scene] < counts[scene] for scene in drawn)
    assert {scene for scene, count in counts.items() if count == 1} <= drawn.keys()


def test_more_poor_scenes_than_may_test():
    scenes = [f"s{n}" for n in range(10)]
    assert len(split_by_scene(scenes, 1, 0.3, 0)) == 3


def test_region_support_of_fused_frames(root):
    made = module(root, frame_maps=[RegionSupportTarget()])
    made.setup()
    sample = made.test_set[0]
    assert sample["region_support"].shape == (1, 48, 64)
    assert sample["regions"].shape == (48, 64)


def test_a_missing_first_version_is_named(root):
    (root / "nyuv1/nyu_depth_data_labeled.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"nyuv1/nyu_depth_data_labeled\.mat is missing"):
        module(root).setup()


def test_v1_and_v2_may_differ_in_size(root):
    with h5py.File(root / "nyuv1/nyu_depth_data_labeled.mat", "r+") as file:
        for key in ("images", "depths", "rawDepths", "labels"):
            smaller = file[key][..., :40, :]  # columns before rows, as MATLAB stores them
            attributes = dict(file[key].attrs)
            del file[key]
            file[key] = smaller
            file[key].attrs.update(attributes)
    made = module(root, eval_batch_size=8)
    made.setup("test")
    sizes = [frame.size for frame in map(made.reader.read, range(12))]
    assert len(set(sizes)) == 2
    assert [made.reader.size_of(position) for position in range(12)] == sizes
    assert made.reader.size == tuple(map(min, zip(*sizes, strict=True)))
    seen = {
        int(i): tuple(d.shape[-2:]) for b in made.test_dataloader() for i, d in zip(b["index"], b["depth"], strict=True)
    }
    assert seen == {position: sizes[position] for position in made.splits.test}
