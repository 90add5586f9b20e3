"""Videos of a command line: each becomes a folder with a video of its depth, and what there is to say of it."""

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from datamodules.files import printable, write_text_atomically
from experiments.config.error import ConfigError
from experiments.datasets.scan_progress import frame_progress
from experiments.inference.finished_frames import FinishedFrames
from experiments.inference.flicker import describe, summarize
from experiments.inference.photo_choices import VideoChoice
from experiments.inference.photo_files import whole_folder
from experiments.inference.photo_places import Place, find_places
from experiments.inference.video_reader import Video, look_at
from experiments.inference.video_work import LOOKED_AT, FrameWork, Session, spread_scales
from experiments.inference.video_writer import FrameFiles, Scales, SideBySide

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
    shown = {
        name: value for name, value in asdict(choice).items() if name != "frames" or value
    }  # made before there were
    places = find_places(videos, output, {**settings, **shown}, overwrite=overwrite, record=RECORD)
    problems = [place.problem for place in places if place.problem]
    if finished := sum(place.finished for place in places):
        print(f"{finished} of {len(places)} videos are finished in {printable(output)} already, and stay as they are")
    for place in places:
        if place.problem or place.finished:
            continue
        try:
            video = look_at(place.photo)
            lines = make_video(video, place, work, choice, settings, shown)
        except (ValueError, FileNotFoundError) as error:
            text = str(error)
            problems.append(text if text.startswith(place.name) else f"{place.name}: {text}")
        else:
            print("\n".join(f"{place.name}: {line}" for line in lines))
            print(f"{printable(output)}: {place.folder.name}")
    return problems


def make_video(
    video: Video,
    place: Place,
    work: FrameWork,
    choice: VideoChoice,
    settings: Mapping[str, Any],
    shown: Mapping[str, Any],
) -> list[str]:
    """Make the folder of a video, and return what is said of it.

    What networks say of each frame is kept beside it until it is whole, so that a video that was stopped is resumed.

    Raises:
        ValueError: if its frames cannot be predicted.
        WriteError: if results cannot be written.
    """
    kept = place.folder.with_name(f".{place.folder.name}.frames")
    finished = FinishedFrames(kept, {"video": place.source, "settings": settings})
    if finished.count:
        print(f"{place.name}: resumed: {finished.count} of {video.frames} frames were predicted before", flush=True)
    try:
        with whole_folder(place.folder, RECORD) as folder:
            scales, chosen = choose_scales(video, work, choice, finished)
            size = (video.height, video.width)
            target = SideBySide(folder / "side_by_side.mp4", video.rate, size, scales)
            session = Session(target, choice.smooth, FrameFiles(folder, choice.frames) if choice.frames else None)
            try:
                with frame_progress(f"frames of {place.name}", video.frames) as advance:
                    for count, _ in enumerate(work.run(video.read(), session.add, finished), start=1):
                        advance(count)
                target.close()
            finally:
                target.abandon()
            near, far = scales.depth
            colors = f"colours from {near:.2f} to {far:.2f} m, {chosen}"
            lines = write_records(folder, video, place, session, {**settings, **shown}, colors)
    except (ValueError, OSError):  # not of a stop, after which it is resumed
        finished.remove()
        raise
    finished.remove()
    return lines


def choose_scales(video: Video, work: FrameWork, choice: VideoChoice, finished: FinishedFrames) -> tuple[Scales, str]:
    """Return where the colours of a video begin and end, and in words why."""
    chosen = f"1st to 99th percentile of {min(LOOKED_AT, video.frames)} frames spread over it"
    asked_for = None if choice.depth_range is None else (choice.depth_range[0], choice.depth_range[1])
    if asked_for is not None and work.predictor.count == 1:
        return Scales(asked_for), "as asked for"
    if (kept := finished.scales) is not None:
        (near, far), uncertainty = kept
        scales = Scales((near, far), uncertainty)
    else:
        scales = spread_scales(video, work)
        finished.keep_scales([scales.depth, scales.uncertainty])
    return (scales, chosen) if asked_for is None else (replace(scales, depth=asked_for), "as asked for")


def write_records(
    folder: Path, video: Video, place: Place, session: Session, settings: Mapping[str, Any], colors: str
) -> list[str]:
    """Write ``flicker.csv`` and ``video.json`` of a finished video, and return what is said of it."""
    last, flicker = session.last, summarize(session.changes)
    assert last is not None
    facts: dict[str, Any] = {
        "video": place.source, "settings": settings, "remarks": video.remarks, "frames": video.frames,
        "rate": video.rate, "size": [video.height, video.width], "network_size": list(last.shown),
        "range": list(session.target.scales.depth), "scale": last.scale_note, "camera": asdict(last.camera),
        "radial": last.radial, "flicker": flicker,
    }  # fmt: skip
    lines = [*video.remarks, last.scale_note, colors, describe(flicker)]
    if (uncertainty := session.target.scales.uncertainty) is not None:
        facts["uncertainty_range"] = [0.0, uncertainty]
        lines.append(f"uncertainty beside it, from 0 to {uncertainty:.3f} m")
    if session.smooth:
        facts["flicker_before_smoothing"] = before = summarize(session.raw_changes)
        lines.append(f"before smoothing: {describe(before)}")
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["frame", "seconds", *flicker])
    for number, change in enumerate(session.changes, start=1):
        rows.writerow([number, f"{number / video.rate:.3f}", *summarize([change]).values()])
    write_text_atomically(folder / "flicker.csv", table.getvalue())
    facts["files"] = sorted(os.listdir(folder))
    write_text_atomically(folder / RECORD, json.dumps(facts, indent=2))
    return lines
