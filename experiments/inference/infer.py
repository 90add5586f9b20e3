"""`segdepth infer`: what a trained method makes of photos and videos."""

from pathlib import Path
from typing import Literal

from experiments.inference.photo_choices import (
    CameraChoice,
    ConfidenceChoice,
    FileChoice,
    MeasuredChoice,
    Task,
    VideoChoice,
    ViewChoice,
)


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
    sure: ConfidenceChoice,
    videos: VideoChoice,
    checkpoint: Literal["best", "last"] | None = None,
    runs_root: Path = Path("runs"),
    overwrite: bool = False,
) -> None:
    """Predict depth, segments and classes of photos, or depth of videos, with a trained method; a folder for each.

    Args:
        run: folder of a run, a checkpoint in one, or an experiment: its newest run.
        images: photos, videos, folders of them, or patterns such as "photos/*.jpg".
        output: folder to write to.
        view: how the network sees photos.
        camera: that they were taken with.
        files: which files are written.
        measured: points whose depth is known.
        sure: how sure the depth is.
        videos: how their depth is shown.
        checkpoint: best or last; by default the one that the run was tested with.
        runs_root: folder of all runs.
        overwrite: replace what was made of the same photos before by another run or with other options.

    Raises:
        ConfigError: for a command line or a run that cannot be used.
        WriteError: if results cannot be written.
        SystemExit: with status 1 if there is a file of which nothing could be made; the end of the output names each.
    """
    from experiments.inference.photo_run import infer_photos

    choices = (view, camera, files, measured, sure, videos)
    infer_photos(Task(run, checkpoint, runs_root, images, output, overwrite, *choices))
