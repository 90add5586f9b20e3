"""Rooms as a whole DATA_ROOT: every data set's folder, in its own layout, for trying things where no real data is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from torch.utils.data import DataLoader, Dataset

from datamodules.nyuv2.labeled_format import HEIGHT, LABELED_FILE, SPLITS_FILE, V1_FILE, WIDTH
from datamodules.rooms.dataset import RenderedScenes, RoomsParameters, available_cores, scene_infos
from datamodules.rooms.filmed import FilmedScenes
from datamodules.rooms.layouts import (
    write_bts,
    write_hypersim,
    write_ibims,
    write_kinect_dump,
    write_marigold,
    write_occlusion,
)
from datamodules.rooms.renderer import RenderedScene
from datamodules.rooms.writer import SceneInfo, write_data_set

Item = TypeVar("Item")


def write_data_root(
    folder: Path, parameters: RoomsParameters, *, device: str = "cpu", report: Callable[[str], None] = lambda _: None
) -> None:
    """Write a folder per data set, each marked as Rooms.

    They are ``nyuv2``, ``nyuv2_bts``, ``nyuv2_marigold``, ``nyuv2_oc``, ``nyuv1``, ``hypersim``, ``ibims1``, and at
    480x640 ``nyuv2_raw``. All frames are held in memory: 11 MB each at 480x640.

    Args:
        folder: to be the DATA_ROOT.
        parameters: scenes and frames.
        device: where to render.
        report: told of each part that is about to be written.

    Raises:
        FileExistsError: if the folder holds anything.
        OSError: if a file cannot be written.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: give another folder, or empty it")
    scenes, frames = scene_infos(parameters), parameters.frames_per_scene
    report("rendering")
    rendered = render_all(RenderedScenes(parameters, device))
    writers: dict[str, Callable[[Path], None]] = {
        "nyuv2": lambda path: write_labelled(path, scenes, rendered, frames),
        "nyuv2_bts": lambda path: write_bts(path, scenes, rendered),
        "nyuv2_marigold": lambda path: write_marigold(path, scenes, rendered),
        "nyuv2_oc": lambda path: write_occlusion(path, scenes, rendered),
        "ibims1": lambda path: write_ibims(path, scenes, rendered),
        "nyuv1": lambda path: write_first_version(path, parameters, device),
        "hypersim": lambda path: write_hypersim(path, scenes, render_all(FilmedScenes(parameters, device))),
    }
    if (parameters.height, parameters.width) == (HEIGHT, WIDTH):  # the Kinect's, which its files do not state
        writers["nyuv2_raw"] = lambda path: write_kinect_dump(path, scenes, rendered)
    for name, write in writers.items():
        report(name)
        write(folder / name)


def render_all(scenes: Dataset[Item]) -> list[Item]:
    """Return all items of a data set, made by one process per core."""
    cores = available_cores()
    return list(DataLoader(scenes, batch_size=None, num_workers=cores if cores > 1 else 0))


def write_labelled(path: Path, scenes: list[SceneInfo], rendered: list[RenderedScene], frames: int) -> None:
    """Write the labelled file, its split and class mapping."""
    path.mkdir(parents=True)
    _, height, width = rendered[0].depth.shape
    write_data_set(path, scenes, iter(rendered), frames, (height, width), occlusion=False)


def write_first_version(path: Path, parameters: RoomsParameters, device: str) -> None:
    """Write NYU Depth v1's labelled file: other scenes, a quarter as many."""
    count = max(1, parameters.train_scenes // 4)
    smaller = replace(parameters, train_scenes=count, test_scenes=1, seed=parameters.seed + 1)
    scenes = [replace(scene, name=f"{scene.scene_type}_1{scene.name[-4:]}") for scene in scene_infos(smaller)]
    write_labelled(path, scenes, render_all(RenderedScenes(smaller, device)), smaller.frames_per_scene)
    (path / LABELED_FILE).rename(path / V1_FILE)
    (path / SPLITS_FILE).unlink()
