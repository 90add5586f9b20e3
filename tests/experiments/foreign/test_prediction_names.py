"""Predictions that are called as the frames are: whose each file is, whatever number its name holds."""

import json

import cv2
import numpy as np
import pytest

from datamodules import FolderDataModule
from datamodules.storage.store import StorePlan, write_store
from experiments.config.compose import ConfigError
from experiments.foreign.prediction_files import PredictionFiles
from experiments.foreign.prediction_names import find_by_name
from tests.helpers.commands import command
from tests.helpers.own_frames import describe, millimetres, picture, save, surface

evaluate = command("evaluate")

#: Names that hold numbers which are not those of the frames, blanks and other letters than ASCII.
NAMES = ("attic/0000", "attic/0001", "cellar/0001", "cellar/küche 7b")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(NAMES):
        save(tmp_path / f"own/rgb/{name}.png", picture(number, (48, 64)))
        save(tmp_path / f"own/depth/{name}.png", millimetres(surface(number, (48, 64))))
    return describe(tmp_path / "own", camera={"horizontal_fov": 60})


def truth(root, name):
    return cv2.imread(str(root / f"depth/{name}.png"), cv2.IMREAD_UNCHANGED) / np.float32(1000)


def write(folder, root, called):
    for name, file in called.items():
        path = folder / f"{file}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, truth(root, name))
    return folder


def measured(root, folder, output, *flags):
    evaluate(["--predictions", str(folder), "--data", "folder", "--data.root", str(root), "--output", output, *flags])
    return json.loads(open(f"{output}/metrics.json").read())


@pytest.mark.parametrize("form", ["as the data", "flat", "a folder for each"])
def test_files_called_as_the_frames_get_their_truth(root, tmp_path, form, capsys):
    flat = {
        "attic/0000": "0000",
        "cellar/küche 7b": "küche 7b",
        "attic/0001": "a/attic/0001",
        "cellar/0001": "cellar/0001",
    }
    called = {"as the data": {n: n for n in NAMES}, "flat": flat, "a folder for each": {n: f"{n}/depth" for n in NAMES}}
    metrics = measured(root, write(tmp_path / "mine", root, called[form]), "out")
    errors = [value for key, value in metrics.items() if key.endswith("/abs_rel")]
    assert errors
    assert max(errors) < 1e-6
    assert "4 predictions of own, found by name, as " in " ".join(capsys.readouterr().out.split())


def test_what_infer_makes_of_the_images_is_known_by_its_record(root, tmp_path):
    """Two images of one name get folders of other names; of depth in two formats the more exact counts."""
    frames = dict(enumerate(NAMES))
    for number, name in frames.items():
        folder = tmp_path / f"out/{'0001_2' if name == 'cellar/0001' else name.split('/')[1]}"
        folder.mkdir(parents=True)
        (folder / "photo.json").write_text(json.dumps({"photo": {"path": str(root / f"rgb/{name}.png")}}))
        np.save(folder / "depth.npy", np.full((4, 4), number))
        cv2.imwrite(str(folder / "depth.png"), np.zeros((4, 4), np.uint16))
        cv2.imwrite(str(folder / "depth_colors.png"), np.zeros((4, 4), np.uint8))
    found = find_by_name(tmp_path / "out", frames)
    assert {index: int(np.load(path)[0, 0]) for index, path in found.items()} == {n: n for n in frames}


def test_numbers_count_where_names_find_no_more(tmp_path):
    """Frames 0001, 0002, ... of a set whose numbers are one higher: what `predict` wrote goes by number."""
    for number in (1, 2, 3, 4):
        np.save(tmp_path / f"{number:04d}.npy", np.full((2, 2), number, np.float32))
    called = {index: f"{index:04d}" for index in range(4)}
    files = PredictionFiles(tmp_path, range(4), 4, called=lambda: called)
    assert files.matched == "by number"
    assert [int(files.read(index)[0, 0, 0]) for index in range(4)] == [1, 2, 3, 4]
    (tmp_path / "0004.npy").rename(tmp_path / "0000.npy")  # 0 is no number of a frame
    files = PredictionFiles(tmp_path, range(4), 4, called=lambda: called)
    assert files.matched == "by name, as 0000.npy of frame `0000`"
    assert [int(files.read(index)[0, 0, 0]) for index in range(4)] == [4, 1, 2, 3]


def test_two_files_of_one_frame_are_named(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((2, 2)))
    np.savez(tmp_path / "x.npz", depth=np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"x\.npy and .*x\.npz are of one frame, `attic/x`; keep one"):
        find_by_name(tmp_path, {0: "attic/x"})


def test_what_matches_nothing_says_how_frames_are_called(root, tmp_path):
    with pytest.raises((ConfigError, FileNotFoundError), match=r"as the frames are called, such as attic/0000\.npy"):
        measured(root, write(tmp_path / "mine", root, {"attic/0000": "other"}), "out")


def test_a_store_keeps_the_names(root, tmp_path):
    data = FolderDataModule(str(root))
    splits = {part: list(positions) for part, positions in vars(data.splits).items()}
    plan = StorePlan(data.name, data.reader.identity, data.all_options, splits)
    assert list(write_store(data.reader, tmp_path / "store", plan))
    stored = FolderDataModule(str(root), store=str(tmp_path / "store"))
    for reader in (data.reader, stored.reader):
        assert [reader.name_of(position) for position in range(4)] == list(NAMES)
