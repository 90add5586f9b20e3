"""The files of a photo: depth, pictures, point cloud and a record, in a folder that appears when it is whole."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from callbacks.pictures.colors import Picture
from callbacks.pictures.frame_view import FrameView
from callbacks.pictures.picture_files import write_figure
from callbacks.pictures.point_clouds import colored_cloud, write_ply
from datamodules.files import WriteError, printable, renamed_when_whole, write_text_atomically, written_atomically
from experiments.inference.depth_prediction import DepthPrediction
from experiments.inference.glb import glb_bytes, surface_of
from experiments.inference.photo_choices import FileChoice, Format
from experiments.inference.photo_pictures import (
    boundaries,
    colored_classes,
    colored_depth,
    colored_uncertainty,
    depth_range,
    hierarchy,
)

FIX = "choose another `--output`, or make room"

#: File in a photo's folder that says what it was made of; where it is, the photo is finished.
RECORD = "photo.json"

#: File with a table of points, in a photo's folder.
POINTS = "points.csv"

#: Millimetres that 16 bits hold.
MOST_MILLIMETRES = 65535


@contextmanager
def whole_folder(folder: Path, record: str = RECORD) -> Iterator[Path]:
    """Yield a folder to write to; its files are moved to ``folder`` when the block ends without an error.

    Args:
        folder: may be there already: files of other names stay.
        record: file that says what the folder was made of.

    Raises:
        WriteError: if it cannot be written.
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        try:
            partial.mkdir(parents=True)
            yield partial
            if folder.is_dir():
                replace_files(folder, partial, record)
            else:
                os.rename(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except WriteError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(error.errno or 0, f"{printable(folder)}: cannot be written ({reason}); {FIX}") from error


def replace_files(folder: Path, new: Path, record: str = RECORD) -> None:
    """Put the files of a photo in the place of those that were made of it before; other files stay.

    Args:
        folder: of the photo.
        new: folder with its new files, which are moved.
        record: file that says what the folder was made of.
    """
    names = sorted(os.listdir(new), key=lambda name: name == record)  # it comes last: with it a photo is finished
    before = (read_record(folder / record) or {}).get("files", [])
    for name in [*(set(before) - set(names)), *([POINTS] if record == RECORD else [])]:
        if os.path.basename(name) == name:  # a record may have been written by hand
            remove(folder / name)
    for name in names:
        if (new / name).is_dir():  # no folder is renamed to one that holds something
            remove(folder / name)
        os.replace(new / name, folder / name)


def remove(path: Path) -> None:
    """Remove a file, or a folder and what is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def read_record(path: Path) -> dict[str, Any] | None:
    """Return what a record says; None where there is none of a photo or, by the file's name, of a video."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and isinstance(content.get(path.stem), dict) else None


def write_photo(
    folder: Path, result: DepthPrediction, choice: FileChoice, method: str, record: Mapping[str, Any]
) -> None:
    """Write the files of a photo.

    Args:
        folder: of this photo alone.
        result: what a method makes of it.
        choice: which files.
        method: its name.
        record: what else ``photo.json`` says.

    Raises:
        WriteError: if they cannot be written.
    """
    with whole_folder(folder) as place:
        facts: dict[str, Any] = {"scale": result.scale_note, "factor": result.factor, "camera": asdict(result.camera)}
        facts |= {"size": list(result.image.shape[:2]), "network_size": list(result.shown), "radial": result.radial}
        if result.depth is not None:
            write_depth(place, result.depth, choice.format)
            facts["range"] = depth_range(result.depth)
        if result.uncertainty is not None:
            write_depth(place, result.uncertainty, choice.format, "uncertainty")
            known = result.uncertainty[np.isfinite(result.uncertainty)]
            facts["mean_uncertainty"] = float(known.mean()) if known.size else None
        if choice.cloud and result.depth is not None:
            write_cloud(place, result, choice.cloud_points)
        if choice.pictures:
            write_pictures(place, result, method, folder.name)
        elif result.segments:
            levels: dict[str, Any] = {f"level{number}": ids for number, ids in enumerate(result.segments)}
            np.savez_compressed(place / "segments.npz", **levels)
        facts["files"] = sorted(os.listdir(place))
        write_text_atomically(place / RECORD, json.dumps({**record, **facts}, indent=2))


def write_depth(place: Path, depth: NDArray[np.float32], formats: list[Format], name: str = "depth") -> None:
    """Write ``depth.png``, ``depth.npy`` and ``depth.exr``, as chosen, or files of another name.

    Args:
        place: folder.
        depth: (H, W) metres, NaN where there is none.
        formats: of :class:`FileChoice`.
        name: of the files, without ending.
    """
    if "png16" in formats:
        millimetres = np.nan_to_num(depth * 1000, nan=0, posinf=0, neginf=0).round().clip(0, MOST_MILLIMETRES)
        write_png(place / f"{name}.png", millimetres.astype(np.uint16))
    if "npy" in formats:
        with written_atomically(place / f"{name}.npy", FIX) as file:
            np.save(file, depth)
    if "exr" in formats:
        openexr = import_module("OpenEXR")  # OpenCV's wheels are built without this format
        header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
        with renamed_when_whole(place / f"{name}.exr", FIX) as partial, openexr.File(header, {"Z": depth}) as file:
            file.write(str(partial))


def write_cloud(place: Path, result: DepthPrediction, points: int) -> None:
    """Write ``cloud.ply``, coloured points, and ``surface.glb``, the same points joined to a surface."""
    depth = np.asarray(result.depth)
    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        return
    view = FrameView(result.image, depth.astype(np.float64), depth.astype(np.float64), known, 0, 1, result.radial)
    write_ply(place / "cloud.ply", colored_cloud(view, result.camera.matrix, points))
    surface = surface_of(depth, result.image, result.camera.matrix, points, radial=result.radial)
    if len(surface.positions):
        with written_atomically(place / "surface.glb", FIX) as file:
            file.write(glb_bytes(surface))


def write_pictures(place: Path, result: DepthPrediction, method: str, title: str) -> None:
    """Write pictures of all that the method predicts."""
    if result.depth is not None:
        write_picture(place / "depth_colors.png", colored_depth(result.depth))
        write_picture(place / "boundaries.png", boundaries(result))
    if result.uncertainty is not None:
        write_picture(place / "uncertainty_colors.png", colored_uncertainty(result.uncertainty))
    if result.classes is not None:
        write_picture(place / "classes.png", colored_classes(result))
        write_png(place / "class_ids.png", result.classes.astype(np.uint16))
    if result.edges is not None:
        write_png(place / "contours.png", (result.edges * 255).round().astype(np.uint8))
    if result.segments:
        write_figure(hierarchy(result, method, title), place / "segments.png")


def write_picture(path: Path, picture: Picture) -> None:
    """Write a picture (H, W, 3) RGB as PNG."""
    write_png(path, picture[..., ::-1])


def write_png(path: Path, pixels: NDArray) -> None:
    """Write pixels as PNG, fast rather than small.

    Args:
        path: the file.
        pixels: grey (H, W) of 8 or 16 bits, or BGR (H, W, 3).
    """
    content = cv2.imencode(".png", np.ascontiguousarray(pixels), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
    with written_atomically(path, FIX) as file:
        file.write(content.tobytes())
