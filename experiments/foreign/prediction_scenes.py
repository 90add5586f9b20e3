"""Predictions in a folder per scene: which file is of which frame."""

import re
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

from datamodules.files import printable
from datamodules.hypersim.scene_reader import CAMERA_STRIDE
from datamodules.storage.map_formats import FORMATS

#: A name that holds one number: ``1``, ``0001``, ``depth_00001_pred``.
NUMBERED = re.compile(r"\D*(\d+)\D*")

#: A camera, in a folder below the scene or in front of the frame's number.
_CAMERA = re.compile(r"cam_(\d+)")


def find_in_scenes(source: Path, names: Mapping[int, tuple[str, int]]) -> dict[int, Path]:
    """Return the file of each frame, by its 0-based number in the data set, of folders named by scenes.

    In a scene's folder, or below it, a file's name holds one number: that of the frame in its data set, counted from 1,
    as in a folder without scenes, or else its number in the scene, the column ``frame`` of ``per_image.csv``. What more
    files fit counts, for all. Of HyperSim, ``cam_01`` in the path says the camera.

    Args:
        source: the folder.
        names: scene and number in it of each frame, by number in the data set.

    Raises:
        ValueError: if two files are of one frame.
    """
    files = list(_numbered_files(source, {scene for scene, _ in names.values()}))
    in_scene = {name: index for index, name in names.items()}
    by_index = [(number - 1, path) for scene, _, number, path in files if names.get(number - 1, ("",))[0] == scene]
    keys = [((scene, camera + number), path) for scene, camera, number, path in files]
    by_frame = [(in_scene[key], path) for key, path in keys if key in in_scene]
    found: dict[int, Path] = {}
    for index, path in by_index if len(by_index) >= len(by_frame) else by_frame:
        if index in found:
            raise ValueError(f"{printable(found[index])} and {printable(path)} are of one frame; keep one")
        found[index] = path
    return found


def _numbered_files(source: Path, scenes: Set[str]) -> Iterator[tuple[str, int, int, Path]]:
    """Scene, first number of the camera, own number and path of files below folders named by scenes."""
    files = (path for path in source.rglob("*") if path.suffix.lower() in FORMATS and path.name[0] != ".")
    for path in sorted(files):
        parts = path.relative_to(source).parts[:-1]
        scene = next((part for part in reversed(parts) if part in scenes), None)
        below = "/".join([*parts[parts.index(scene) + 1 :], path.stem]) if scene else ""
        camera = _CAMERA.search(below)
        number = NUMBERED.fullmatch(_CAMERA.sub("", below.rsplit("/", 1)[-1]))
        if scene and number:
            yield scene, CAMERA_STRIDE * int(camera[1]) if camera else 0, int(number[1]), path
