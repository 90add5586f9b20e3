"""Rooms on disk: rendered once, atomically, into a cache folder that its parameters name."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.data import DataLoader, Dataset

from datamodules.rooms.bodies import Scene
from datamodules.rooms.camera import Pose
from datamodules.rooms.renderer import RenderedScene, render_scene
from datamodules.rooms.scene import SCENE_TYPES, build_scene
from datamodules.rooms.walk import camera_walk
from datamodules.rooms.writer import SceneInfo, write_data_set

#: Part of the cache key: raise it when the renderer or the writer changes what the same parameters give.
VERSION = 3

#: Uncompressed bytes of a pixel over all keys: an upper bound of what is written.
_BYTES_PER_PIXEL = 15


Item = TypeVar("Item")


@dataclass(frozen=True)
class RoomsParameters:
    """Everything that determines the content of a Rooms data set.

    Attributes:
        height: rows of a frame.
        width: columns of a frame.
        train_scenes: scenes to train on.
        test_scenes: scenes to test on, none of them shared.
        frames_per_scene: length of each scene's camera walk.
        seed: of everything random.
        supersampling: colour samples along a pixel's edge.

    Raises:
        ValueError: if a number is not positive, or there are more frames than ``splits.mat`` can index.
    """

    height: int = 96
    width: int = 128
    train_scenes: int = 128
    test_scenes: int = 24
    frames_per_scene: int = 3
    seed: int = 0
    supersampling: int = 2

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < (0 if name == "seed" else 1):
                raise ValueError(f"`data.init_args.rooms.{name}` must be positive, is {value}")
        if self.frames > np.iinfo(np.uint16).max:
            raise ValueError(f"`data.init_args.rooms`: {self.frames} frames, but `splits.mat` counts to 65535")

    @property
    def scenes(self) -> int:
        """Return the number of scenes."""
        return self.train_scenes + self.test_scenes

    @property
    def frames(self) -> int:
        """Return the number of frames."""
        return self.scenes * self.frames_per_scene

    @property
    def key(self) -> str:
        """Return the name of the cache folder."""
        content = json.dumps({"version": VERSION, **asdict(self)}, sort_keys=True)
        return f"rooms-{self.height}x{self.width}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"


class Scenes(Dataset[Item]):
    """What is made of each scene on access; index i is always the same scene.

    Args:
        parameters: what to render.
        device: where to compute.
    """

    def __init__(self, parameters: RoomsParameters, device: str):
        self.parameters = parameters
        self.device = device

    def __len__(self) -> int:
        return self.parameters.scenes


class RenderedScenes(Scenes[RenderedScene]):
    """Scenes rendered on access."""

    def __getitem__(self, index: int) -> RenderedScene:
        """Return all frames of scene ``index``."""
        p = self.parameters
        scene, walk = build(p, index)
        noise = p.seed * p.scenes + index
        return render_scene(
            scene, walk, p.height, p.width, supersampling=p.supersampling, seed=noise, device=self.device
        )


@dataclass(frozen=True)
class RoomsFormat:
    """How a rendered set is written.

    Attributes:
        suffix: of the cache folder's name.
        scenes: what is rendered of each scene.
        write: writes all of it, scene by scene, into an existing folder.
    """

    suffix: str
    scenes: Callable[[RoomsParameters, str], Scenes[Any]]
    write: Callable[[Path, RoomsParameters, Iterator[Any]], None]


def build(parameters: RoomsParameters, index: int) -> tuple[Scene, list[Pose]]:
    """Return a scene, and the camera's walk through it."""
    scene = build_scene(scene_type(index), parameters.seed, index)
    return scene, camera_walk(scene, parameters.frames_per_scene, parameters.seed, index)


def scene_type(index: int) -> str:
    """Return the type of a scene: all types in turn."""
    return SCENE_TYPES[index % len(SCENE_TYPES)]


def scene_infos(parameters: RoomsParameters) -> list[SceneInfo]:
    """Return names and parts of all scenes; the test scenes are drawn by seed."""
    order = np.random.default_rng([parameters.seed, parameters.scenes]).permutation(parameters.scenes)
    test = set(order[: parameters.test_scenes].tolist())
    return [SceneInfo(f"{scene_type(i)}_{i:04d}", scene_type(i), i in test) for i in range(parameters.scenes)]


def _write_labelled(folder: Path, parameters: RoomsParameters, rendered: Iterator[RenderedScene]) -> None:
    size = (parameters.height, parameters.width)
    write_data_set(folder, scene_infos(parameters), rendered, parameters.frames_per_scene, size)


#: ``nyu_depth_v2_labeled.mat``, ``splits.mat``, ``classMapping40.mat`` and ``nyuv2_oc/``.
NYUV2_FORMAT = RoomsFormat("", RenderedScenes, _write_labelled)


def ensure_rooms(
    parameters: RoomsParameters,
    cache: Path,
    *,
    form: RoomsFormat = NYUV2_FORMAT,
    device: str = "auto",
    progress: bool = True,
) -> Path:
    """Return the folder that holds the data set; renders it where it is not there yet, and nothing where it is.

    Rendering goes into a temporary folder beside the final one, which appears by a rename when all is written: an
    interruption, an error or a full disk leaves nothing that could be taken for a data set. Of several processes one
    renders and the others wait.

    Args:
        parameters: what the set holds.
        cache: folder of all rendered sets.
        form: how it is written.
        device: ``auto`` takes the GPU where there is one.
        progress: show a bar.

    Returns:
        The folder.

    Raises:
        OSError: if the disk is full or the cache cannot be written, naming folder and fix.
    """
    folder = cache / f"{parameters.key}{form.suffix}"
    if folder.is_dir():
        return folder
    with _explain_disk_errors(cache, parameters):
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                _render(parameters, folder, form, device, progress)
    return folder


def _render(parameters: RoomsParameters, folder: Path, form: RoomsFormat, device: str, progress: bool) -> None:
    """Render into a temporary folder and rename it; whoever calls holds the lock, so older such folders are wrecks."""
    for wreck in folder.parent.glob(f"{folder.name}.part-*"):
        shutil.rmtree(wreck)
    if shutil.disk_usage(folder.parent).free < _needed_bytes(parameters):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.part-", dir=folder.parent))
    try:
        with closing(_scenes(form, parameters, device)) as scenes:  # an error here ends the processes that render
            form.write(partial, parameters, _with_progress(scenes, parameters, folder, progress))
        _flush(partial)
        partial.chmod(0o755)
        partial.rename(folder)
    except BaseException:  # Ctrl-C too
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _scenes(form: RoomsFormat, parameters: RoomsParameters, device: str) -> Generator[Any, None, None]:
    """Rendered scenes in order; on a CPU by one process per core, which beats threads inside one process."""
    cores = available_cores()
    workers = min(cores, parameters.scenes) if device == "cpu" and cores > 1 else 0
    yield from DataLoader(form.scenes(parameters, device), batch_size=None, num_workers=workers)


def available_cores() -> int:
    """Return cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _with_progress(scenes: Iterator[Any], parameters: RoomsParameters, folder: Path, shown: bool) -> Iterator[Any]:
    console = Console(stderr=True, markup=False)
    columns = (TextColumn("rendering Rooms"), BarColumn(), MofNCompleteColumn(), TextColumn("scenes"))
    if shown:
        console.print(f"Rooms: {parameters.frames} frames, rendered once into {folder}", highlight=False)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not shown) as bar:
        yield from bar.track(scenes, total=parameters.scenes)


def _flush(folder: Path) -> None:
    """Have the disk hold every file before the rename says so."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _needed_bytes(parameters: RoomsParameters) -> int:
    return parameters.frames * parameters.height * parameters.width * _BYTES_PER_PIXEL


@contextmanager
def _explain_disk_errors(cache: Path, parameters: RoomsParameters) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno == errno.ENOSPC or "No space left" in str(error)  # h5py puts it into the text
        if not full and error.errno not in (errno.EACCES, errno.EROFS, errno.EDQUOT):
            raise
        need = _needed_bytes(parameters) / 2**20
        reason = "the disk is full" if full else (error.strerror or str(error))
        raise OSError(
            f"{cache}: Rooms cannot be written, {reason}: set SEGDEPTH_CACHE to a folder with {need:.0f} MB free"
        ) from error
