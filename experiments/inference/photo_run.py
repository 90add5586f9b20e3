"""`segdepth infer`, once its options are known: from photos to files, and what is said of them."""

import csv
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.files import printable, write_text_atomically
from datamodules.storage.map_formats import read_map
from experiments.config.error import ConfigError
from experiments.datasets.scan_progress import frame_progress
from experiments.inference.camera_choice import check_camera
from experiments.inference.ensemble import Ensemble
from experiments.inference.measured_points import Point, parse_known, read_points, tabulate
from experiments.inference.photo_choices import Task
from experiments.inference.photo_files import POINTS
from experiments.inference.photo_list import find_photos
from experiments.inference.photo_places import Place, find_places
from experiments.inference.photo_work import Finished, PhotoWork, describe_prediction
from experiments.inference.pipeline import Outcome, process
from experiments.inference.predictor import load
from experiments.inference.video_reader import is_video
from experiments.inference.video_work import FrameWork
from experiments.inference.videos import check_videos, infer_videos
from experiments.train.quiet import quieten


def infer_photos(task: Task) -> None:
    """Predict photos and videos, and say where results are, and of which files nothing could be made.

    Raises:
        ConfigError: for a command line or a run that cannot be used.
        WriteError: if results cannot be written.
        SystemExit: with status 1 if there is a file of which nothing could be made.
    """
    quieten()
    files = find_photos(task.images, task.output)
    videos = [file for file in files if is_video(file)]
    photos = [file for file in files if not is_video(file)]
    known = parse_known(task.measured.known or ())
    points = read_points(task.measured.points) if task.measured.points else []
    if (known or points) and len(files) > 1:
        raise ConfigError(f"--known and --points are of one photo, but {len(files)} are named; name one")
    if (known or points) and videos:
        raise ConfigError(f"--known and --points are of a photo, and {printable(videos[0])} is a video; name a photo")
    if task.view.tiles < 1 or task.files.cloud_points < 1:
        raise ConfigError("--tiles and --cloud_points: need a positive number")
    check_camera(task.camera)
    check_videos(task.videos)
    size = check_size(task.view.size)
    check_folder(task.output)
    options: dict[str, Any] = {"checkpoint": task.checkpoint, "runs_root": task.runs_root, "size": size}
    runs = (task.run, *(task.sure.ensemble or ()))
    members = [load(run, device=task.view.device, **options) for run in runs]
    predictor = Ensemble(members, mirrored=task.sure.confidence)
    problems = do_photos(photos, PhotoWork(predictor, task, known), points) if photos else []
    if videos:
        frames = FrameWork(predictor, task.view.tiles, task.camera)
        settings = describe_prediction(predictor, task)
        problems += infer_videos(videos, task.output, frames, task.videos, settings, overwrite=task.overwrite)
    if problems:
        kind = "files" if videos else "photos"
        print(f"nothing was made of {len(problems)} of {len(files)} {kind}:", file=sys.stderr)
        print("\n".join(f"  {line}" for line in problems), file=sys.stderr)
        sys.exit(1)


def do_photos(photos: Sequence[Path], work: PhotoWork, points: Sequence[Point]) -> list[str]:
    """Make the folders of photos, say what they hold, and return why nothing was made of others."""
    task = work.task
    places = find_places(photos, task.output, work.settings, overwrite=task.overwrite)
    if finished := [place for place in places if place.finished]:
        where = printable(task.output)
        print(f"{len(finished)} of {len(places)} photos are finished in {where} already, and stay as they are")
    outcomes = do_all([place for place in places if not place.finished and not place.problem], work)
    report(task.output, outcomes)
    if points:
        done = [*finished, *(outcome.item for outcome in outcomes if outcome.result)]
        for place in done:
            show_points(place.folder, points)
    return [place.problem for place in places if place.problem] + [str(o.error) for o in outcomes if o.error]


def check_folder(output: Path) -> None:
    """Make the folder that results go to.

    Raises:
        ConfigError: if that is impossible.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".", dir=output):
            pass
    except OSError as error:
        raise ConfigError(
            f"--output {printable(output)}: cannot be written ({error.strerror}); choose another folder"
        ) from error


def do_all(places: Sequence[Place], work: PhotoWork) -> list[Outcome[Place, Finished]]:
    """Return what becomes of photos, while a bar shows how many are done."""
    outcomes: list[Outcome[Place, Finished]] = []
    if places:
        with frame_progress("photos", len(places)) as advance:
            for outcome in process(places, work.prepare, work.forward, work.finish):
                outcomes.append(outcome)
                advance(len(outcomes))
    return outcomes


def check_size(given: Sequence[int] | None) -> tuple[int, int] | None:
    """Return height and width of ``--size``; None where it is not given.

    Raises:
        ConfigError: if they are no two positive numbers.
    """
    if given is None:
        return None
    if len(given) != 2 or min(given) < 1:
        raise ConfigError(f"--size {' '.join(map(str, given))}: need height and width in pixels, such as 384 512")
    return given[0], given[1]


def report(output: Path, outcomes: Sequence[Outcome[Place, Finished]]) -> None:
    """Say where results are, and for what camera their metres hold."""
    done = [(outcome.item, outcome.result) for outcome in outcomes if outcome.result is not None]
    for place, finished in done:
        for remark in finished.remarks:
            print(f"{printable(place.photo)}: {remark}")
    notes: dict[str, list[str]] = {}
    for place, finished in done:
        notes.setdefault(finished.scale_note, []).append(place.folder.name)
    for note, names in notes.items():
        if note:
            print(f"{names[0] if len(names) == 1 else f'{len(names)} photos'}: {note}")
    if done:
        what = done[0][0].folder.name if len(done) == 1 else f"a folder for each of {len(done)} photos"
        print(f"{printable(output)}: {what}")


def show_points(folder: Path, points: Sequence[Point]) -> None:
    """Print depth at points of a photo, and write it as ``points.csv`` into the photo's folder.

    Args:
        folder: of the photo's files.
        points: of the photo.

    Raises:
        ConfigError: if a point lies outside of the photo, or the method predicts no depth.
    """
    table = tabulate(points, written_depth(folder))
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for name, *cells in table:
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        print("  ".join([name.ljust(widths[0]), *aligned]).rstrip())
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    write_text_atomically(folder / POINTS, text.getvalue())


def written_depth(folder: Path) -> NDArray[np.float32]:
    """Return depth (H, W) in metres from a photo's folder.

    Raises:
        ConfigError: if there is none.
    """
    for name, unit in (("depth.npy", 1.0), ("depth.exr", 1.0), ("depth.png", 1e-3)):
        if (folder / name).exists():
            return np.asarray(read_map(folder / name) * unit, dtype=np.float32)
    raise ConfigError(f"--points: {printable(folder)} holds no depth; name a run of a method that predicts it")
