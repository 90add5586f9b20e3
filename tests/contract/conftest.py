"""What the contract's tests share: rendered frames, and each method once."""

import functools
import sys

import pytest
import torch

from datamodules import collate
from datamodules.rooms import build_scene, render_scene
from datamodules.rooms.walk import camera_walk
from datamodules.rooms.writer import SceneInfo, write_data_set
from tests.contract.assembly import Assembly
from tests.contract.documented import write_documented_files

SCENES = [
    SceneInfo("bedroom_0000", "bedroom", is_test=False),
    SceneInfo("living_room_0001", "living_room", is_test=True),
    SceneInfo("dining_room_0003", "dining_room", is_test=False),
]

#: Of each scene. One trains, one validates, one tests: two processes, and batches of two, share five frames unevenly.
FRAMES = 5


@pytest.fixture(scope="session", autouse=True)
def documented(tmp_path_factory):
    """A folder with the files of docs/extending.md, from which Python imports."""
    folder = tmp_path_factory.mktemp("documented")
    write_documented_files(folder)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """The suite's cache, for these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGDEPTH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def frames(tmp_path_factory):
    """Folder of a labelled file with three scenes of rendered frames."""
    folder = tmp_path_factory.mktemp("frames")
    built = [build_scene(info.scene_type, 0, number) for number, info in enumerate(SCENES)]
    rendered = [
        render_scene(scene, camera_walk(scene, FRAMES, 0, number), 64, 96, supersampling=1, seed=number)
        for number, scene in enumerate(built)
    ]
    write_data_set(folder, SCENES, iter(rendered), FRAMES, (64, 96))
    return folder


@pytest.fixture(scope="session")
def assemble(frames, tmp_path_factory, documented, cache):
    """A function that puts a method together with the frames, anew each time."""

    def assemble(name, **options):
        return Assembly(name, frames, tmp_path_factory.mktemp(name), **options)

    return assemble


@pytest.fixture(scope="session")
def ready(assemble):
    """A function that gives a method that has seen its data, the same object each time."""

    @functools.cache
    def ready(name):
        assembled = assemble(name)
        assembled.data.setup("fit")
        assembled.method.check_data(assembled.data, training=True)
        return assembled

    return ready


@pytest.fixture(scope="session")
def batch(ready):
    """A function that gives a batch of two test frames, or of training crops."""

    @functools.cache
    def batch(part="test"):
        data = ready("without_backbone").data
        frames = data.train_set if part == "train" else data.test_set
        return collate([frames[0], frames[1]])

    return batch


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors gain nothing from threads."""
    torch.set_num_threads(1)
