"""Videos of a command line: each becomes a folder with a video of its depth, and what there is to say of it."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datamodules.files import printable, write_text_atomically
from experiments.config.error import ConfigError
from experiments.datasets.scan_progress import frame_progress
from experiments.inference.flicker import describe, summarize
from experiments.inference.photo_choices import VideoChoice
from experiments.inference.photo_files import whole_folder
from experiments.inference.photo_places import Place, find_places
from experiments.inference.video_reader import Video, look_at
from experiments.inference.video_work import LOOKED_AT, FrameWork, Session, spread_range
from experiments.inference.video_writer import SideBySide

#: File in a video's folder that says what it was made of; where it is, the video is finished.
RECORD = "video.json"


def check_videos(choice: VideoChoice) -> None:
    """Check how videos are to be shown.

    Raises:
        ConfigError: if it makes no sense.
    """
    ends = choice.depth_range
    if ends is not None and not (len(ends) == 2 and 0 <= ends[0] < ends[1] < math.inf):
        raise ConfigError(
            f"--depth_range {' '.join(f'{end:g}' for end in ends)}: need two ascending numbers of metres, as 0.5 6"
        )
    if not 0 <= choice.smooth < 1:
        raise ConfigError(f"--smooth {choice.smooth:g}: need a share from 0 to below 1, such as 0.8")


def infer_videos(
    videos: Sequence[Path],
    output: Path,
    work: FrameWork,
    choice: VideoChoice,
    settings: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> list[str]:
    """Make the folders of videos, say what they hold, and return why nothing was made of others.

    Args:
        videos: files.
        output: folder for all.
        work: what is done with a frame.
        choice: how depth is shown.
        settings: run and options that results depend on, as plain JSON.
        overwrite: as of :func:`~.photo_places.find_places`.

    Raises:
        WriteError: if results cannot be written.
    """
    settings = {**settings, **asdict(choice)}
    places = find_places(videos, output, settings, overwrite=overwrite, record=RECORD)
    problems = [place.problem for place in places if place.problem]
    if finished := sum(place.finished for place in places):
        print(f"{finished} of {len(places)} videos are finished in {printable(output)} already, and stay as they are")
    for place in places:
        if place.problem or place.finished:
            continue
        try:
            video = look_at(place.photo)
            lines = make_video(video, place, work, choice, settings)
        except (ValueError, FileNotFoundError) as error:
            text = str(error)
            problems.append(text if text.startswith(place.name) else f"{place.name}: {text}")
        else:
            print("\n".join(f"{place.name}: {line}" for line in lines))
            print(f"{printable(output)}: {place.folder.name}")
    return problems


def make_video(
    video: Video, place: Place, work: FrameWork, choice: VideoChoice, settings: Mapping[str, Any]
) -> list[str]:
    """Make the folder of a video, and return what is said of it.

    Raises:
        ValueError: if its frames cannot be predicted.
        WriteError: if results cannot be written.
    """
    with whole_folder(place.folder, RECORD) as folder:
        if choice.depth_range is not None:
            scale, chosen = (choice.depth_range[0], choice.depth_range[1]), "as asked for"
        else:
            looked_at = min(LOOKED_AT, video.frames)
            scale, chosen = spread_range(video, work), f"1st to 99th percentile of {looked_at} frames spread over it"
        target = SideBySide(folder / "side_by_side.mp4", video.rate, (video.height, video.width), scale)
        session = Session(target, choice.smooth)
        try:
            with frame_progress(f"frames of {place.name}", video.frames) as advance:
                for count, _ in enumerate(work.run(video.read(), session.add), start=1):
                    advance(count)
            target.close()
        finally:
            target.abandon()
        colors = f"colours from {scale[0]:.2f} to {scale[1]:.2f} m, {chosen}"
        return write_records(folder, video, place, session, settings, colors)


def write_records(
    folder: Path, video: Video, place: Place, session: Session, settings: Mapping[str, Any], colors: str
) -> list[str]:
    """Write ``flicker.csv`` and ``video.json`` of a finished video, and return what is said of it."""
    last, flicker = session.last, summarize(session.changes)
    assert last is not None
    facts: dict[str, Any] = {
        "video": place.source, "settings": settings, "remarks": video.remarks, "frames": video.frames,
        "rate": video.rate, "size": [video.height, video.width], "network_size": list(last.shown),
        "range": list(session.target.scale), "scale": last.scale_note, "camera": asdict(last.camera),
        "radial": last.radial, "flicker": flicker,
    }  # fmt: skip
    lines = [*video.remarks, last.scale_note, colors, describe(flicker)]
    if session.smooth:
        facts["flicker_before_smoothing"] = before = summarize(session.raw_changes)
        lines.append(f"before smoothing: {describe(before)}")
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["frame", "seconds", *flicker])
    for number, change in enumerate(session.changes, start=1):
        rows.writerow([number, f"{number / video.rate:.3f}", *summarize([change]).values()])
    write_text_atomically(folder / "flicker.csv", table.getvalue())
    write_text_atomically(folder / RECORD, json.dumps(facts, indent=2))
    return lines
