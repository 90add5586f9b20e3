"""HyperSim of several sizes, as after a resize of some scenes, and with its test part alone; Rooms in its layout."""

import shutil

import h5py
import numpy as np
import pytest
import torch

from datamodules import HyperSimDataModule
from datamodules.hypersim.scene_format import camera_matrix
from datamodules.hypersim.scene_reader import HyperSimReader
from datamodules.rooms import build_scene
from datamodules.rooms.layouts import film_scene, write_hypersim
from datamodules.rooms.walk import camera_walk
from datamodules.rooms.writer import SceneInfo

OPTIONS = {"eval_size": None, "num_workers": 0, "eval_batch_size": 4, "crop": (8, 8)}


#: The last training scene validates.
SCENES = [SceneInfo(f"bedroom_{number:04d}", "bedroom", is_test=number > 1) for number in range(4)]


@pytest.fixture(scope="module")
def filmed():
    scenes = [build_scene("bedroom", 0, number) for number in range(4)]
    walks = [camera_walk(scene, 2, 0, number) for number, scene in enumerate(scenes)]
    return [
        film_scene(scene, walk, n, 32, 48, supersampling=1)
        for n, (scene, walk) in enumerate(zip(scenes, walks, strict=True))
    ]


@pytest.fixture
def root(tmp_path, filmed):
    write_hypersim(tmp_path, SCENES, filmed)
    return tmp_path


def halve(root, scene):
    """Write every second row and column of all files of a scene."""
    for path in (root / scene).rglob("*.hdf5"):
        with h5py.File(path, "r+") as file:
            values = file["dataset"][::2, ::2]
            del file["dataset"]
            file["dataset"] = values


def test_each_frame_keeps_its_size_and_its_camera(root):
    module = HyperSimDataModule(str(root), **OPTIONS)
    scene = module.reader.scenes[module.splits.test[-1]]
    whole = {p: module.reader.read(p) for p in module.splits.test}
    halve(root, scene)
    module = HyperSimDataModule(str(root), **OPTIONS)
    module.setup("test")
    assert isinstance(module.reader, HyperSimReader)
    seen = {}
    for batch in module.test_dataloader():
        for index, depth, camera in zip(batch["index"].tolist(), batch["depth"], batch["intrinsics"], strict=True):
            seen[index] = (depth, camera)
    assert sorted(seen) == sorted(module.splits.test)
    for position, (depth, camera) in seen.items():
        height, width = whole[position].size
        factor = 2 if module.reader.scenes[position] == scene else 1
        assert module.reader.size_of(position) == tuple(depth.shape[-2:]) == (height // factor, width // factor)
        own = module.reader.cameras[module.reader.scenes[position]]
        expected = camera_matrix(own, height // factor, width // factor)
        torch.testing.assert_close(camera, torch.from_numpy(expected).float())
    assert {tuple(depth.shape) for depth, _ in seen.values()} == {(1, 32, 48), (1, 16, 24)}


def test_labels_of_another_size_than_the_depth_are_still_refused(root):
    module = HyperSimDataModule(str(root), **OPTIONS)
    position = module.splits.test[0]
    path = next((root / module.reader.scenes[position]).rglob("*semantic.hdf5"))
    with h5py.File(path, "r+") as file:
        values = file["dataset"][::2]
        del file["dataset"]
        file["dataset"] = values
    frames = module.reader.frames
    broken = next(p for p in module.splits.test if frames[p].path(root, "semantic") == path)
    with pytest.raises(ValueError, match=r"semantic\.hdf5.*key `dataset` is"):
        module.reader.read(broken)


def test_the_test_part_alone_is_tested_on(root):
    """Neither training scenes nor the lists of other parts are there."""
    everything = HyperSimDataModule(str(root), **OPTIONS)
    reader, parts = everything.reader, vars(everything.splits)
    for part, positions in parts.items():
        frames = [reader.frames[position] for position in positions]
        lines = [f"{f.scene}/rgb_cam_{f.camera:02d}_fr{f.frame:04d}.png" for f in frames]
        if part == "test":
            (root / f"filename_list_{part}_filtered.txt").write_text("\n".join(lines))
    test_scenes = {reader.scenes[position] for position in parts["test"]}
    for scene in set(reader.scenes) - test_scenes:
        shutil.rmtree(root / scene)
    for frames in ("official", "marigold"):
        module = HyperSimDataModule(str(root), frames=frames, **OPTIONS)
        module.setup("test")
        assert sum(len(batch["depth"]) for batch in module.test_dataloader()) == len(parts["test"])
        assert np.isfinite(next(iter(module.predict_dataloader()))["depth"].numpy()).all()
        with pytest.raises(FileNotFoundError, match="missing"):
            HyperSimDataModule(str(root), frames=frames, **OPTIONS).setup("fit")
