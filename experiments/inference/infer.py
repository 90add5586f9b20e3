"""`segdepth infer`: what a trained method makes of photos."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from datamodules.files import printable, write_text_atomically
from experiments.config.error import ConfigError
from experiments.datasets.scan_progress import frame_progress
from experiments.inference.camera_choice import CameraChoice
from experiments.inference.depth_prediction import DepthPrediction
from experiments.inference.measured_points import Fit, Point, parse_known, read_points, tabulate
from experiments.inference.photo_files import FileChoice
from experiments.inference.photo_list import find_photos
from experiments.inference.photo_places import Place, find_places
from experiments.inference.photo_work import Finished, PhotoWork
from experiments.inference.pipeline import Outcome, process
from experiments.inference.predictor import Predictor, load
from experiments.train.quiet import quieten


@dataclass
class ViewChoice:
    """How the network sees photos.

    Attributes:
        size: height and width that it sees all photos at; by default as it saw the run's test frames.
        tiles: cut large photos into this many overlapping tiles along each side, for finer detail.
        device: auto, cpu, cuda, cuda:1 or mps.
    """

    size: list[int] | None = None
    tiles: int = 1
    device: str = "auto"


@dataclass
class MeasuredChoice:
    """What a tape measure says of one photo.

    Attributes:
        known: X,Y=METRES, depth measured at a pixel, from the upper left corner; several are possible. Depth is scaled
            by them.
        known_fit: scale, or scale_shift: what is fitted to measured depth, by least squares.
        points: CSV file of x,y,metres,name (the last two may be missing): print depth at these pixels beside the
            measured one.
    """

    known: list[str] = field(default_factory=list)
    known_fit: Fit = "scale"
    points: Path | None = None


def infer(
    run: str,
    images: list[str],
    /,
    *,
    output: Path,
    view: ViewChoice,
    camera: CameraChoice,
    files: FileChoice,
    measured: MeasuredChoice,
    checkpoint: Literal["best", "last"] | None = None,
    runs_root: Path = Path("runs"),
    overwrite: bool = False,
) -> None:
    """Predict depth, segments and classes of photos with a trained method; a folder for each photo.

    Args:
        run: folder of a run, a checkpoint in one, or an experiment: its newest run.
        images: photos, folders of photos, or patterns such as "photos/*.jpg".
        output: folder to write to.
        view: how the network sees photos.
        camera: that they were taken with.
        files: which files are written.
        measured: points whose depth is known.
        checkpoint: best or last; by default the one that the run was tested with.
        runs_root: folder of all runs.
        overwrite: replace what was made of the same photos before by another run or with other options.

    Raises:
        ConfigError: for a command line or a run that cannot be used.
        WriteError: if results cannot be written.
        SystemExit: with status 1 if there is a photo of which nothing could be made; the end of the output names each.
    """
    quieten()
    photos = find_photos(images, output)
    known, points = parse_known(measured.known), read_points(measured.points) if measured.points else []
    if (known or points) and len(photos) > 1:
        raise ConfigError(f"--known and --points are of one photo, but {len(photos)} are named; name one")
    if view.tiles < 1 or files.cloud_points < 1:
        raise ConfigError("--tiles and --cloud_points: need a positive number")
    camera.check()
    check_folder(output)
    predictor = load(run, checkpoint=checkpoint, runs_root=runs_root, size=_size(view.size), device=view.device)
    settings = describe_settings(predictor, view, camera, files, measured)
    places = find_places(photos, output, settings, overwrite=overwrite)
    if finished := sum(place.finished for place in places):
        print(f"{finished} of {len(places)} photos are finished in {printable(output)} already, and stay as they are")
    work = PhotoWork(
        predictor, view.tiles, camera, files, known, measured.known_fit, settings, keep=measured.points is not None
    )
    outcomes = do_all([place for place in places if not place.finished and not place.problem], work)
    report(output, outcomes)
    for outcome in outcomes:
        if points and outcome.result is not None:
            show_points(outcome.item.folder, points, outcome.result.result)
    if problems := [place.problem for place in places if place.problem] + [str(o.error) for o in outcomes if o.error]:
        print(f"nothing was made of {len(problems)} of {len(places)} photos:", file=sys.stderr)
        print("\n".join(f"  {line}" for line in problems), file=sys.stderr)
        sys.exit(1)


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


def _size(given: Sequence[int] | None) -> tuple[int, int] | None:
    if given is None:
        return None
    if len(given) != 2 or min(given) < 1:
        raise ConfigError(f"--size {' '.join(map(str, given))}: need height and width in pixels, such as 384 512")
    return given[0], given[1]


def describe_settings(
    predictor: Predictor, view: ViewChoice, camera: CameraChoice, files: FileChoice, measured: MeasuredChoice
) -> dict[str, Any]:
    """Return what results depend on besides the photo, as plain JSON: photos made with other settings are not mixed."""
    return {
        "weights": predictor.source,
        "size": view.size,
        "tiles": view.tiles,
        "camera": camera.describe(),
        "format": sorted(files.format),
        "cloud": files.cloud_points if files.cloud else 0,
        "pictures": files.pictures,
        "known": [*measured.known, measured.known_fit] if measured.known else [],
    }


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


def show_points(folder: Path, points: Sequence[Point], result: DepthPrediction | None) -> None:
    """Print depth at named points, and write it as ``points.csv`` into the photo's folder."""
    if result is None or result.depth is None:
        raise ConfigError("--points: the method predicts no depth")
    table = tabulate(points, result.depth)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for name, *cells in table:
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        print("  ".join([name.ljust(widths[0]), *aligned]).rstrip())
    write_text_atomically(folder / "points.csv", "\n".join(",".join(row) for row in table) + "\n")
