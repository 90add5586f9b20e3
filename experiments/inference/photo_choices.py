"""What a user chooses of photos and videos: how they are seen, by which camera they were taken, what is written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Format = Literal["png16", "npy", "exr"]
Fit = Literal["scale", "scale_shift"]


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
class CameraChoice:
    """What is known of the camera of all photos; by default each photo's EXIF data tell.

    Attributes:
        fov: degrees that a photo shows across its width.
        intrinsics: FX,FY,CX,CY in pixels of the photos, the right way up.
    """

    fov: float | None = None
    intrinsics: str | None = None


@dataclass
class FileChoice:
    """Which files are written.

    Attributes:
        format: of depth, one or several: png16 (16-bit PNG in mm, 0 where there is none, 65.535 m at most), npy or exr
            (float32 metres).
        cloud: write a point cloud (PLY) and a surface (GLB) as well.
        cloud_points: that a cloud has at most.
        pictures: draw depth in colours, boundaries, classes and segments.
    """

    format: list[Format] = ("png16",)  # type: ignore[assignment]  # a list, of which a copy is made
    cloud: bool = False
    cloud_points: int = 500_000
    pictures: bool = True


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

    known: list[str] | None = None
    known_fit: Fit = "scale"
    points: Path | None = None


@dataclass
class ConfidenceChoice:
    """How sure the depth is.

    Attributes:
        confidence: predict each photo or frame mirrored left to right as well. Depth is then the mean of the two, and
            their disagreement is written as a map, or shown in the video.
        ensemble: further runs, given as RUN is. Depth is the mean over all, and their disagreement is written as a map.
    """

    confidence: bool = False
    ensemble: list[str] | None = None


@dataclass
class VideoChoice:
    """How the depth of videos is shown.

    Attributes:
        depth_range: NEAR FAR, metres where the colours of a video begin and end; by default the 1st and 99th percentile
            of 24 frames spread over it.
        smooth: share that the depth of a video's frames before keeps in each frame, along the optical flow; from 0, for
            none, to below 1.
        frames: write depth of every frame of a video as well: png16, npy or exr, one or several, as `--format` for
            photos.
    """

    depth_range: list[float] | None = None
    smooth: float = 0.0
    frames: list[Format] | None = None


@dataclass(frozen=True)
class Task:
    """What a command line of `segdepth infer` asks for.

    Attributes:
        run: folder of a run, a checkpoint in one, or an experiment: its newest run.
        checkpoint: ``best`` or ``last``; None for the one that the run was tested with.
        runs_root: folder of all runs.
        images: photos, folders, patterns and videos.
        output: folder to write to.
        overwrite: whether other results of the same photos are replaced.
        view: how the network sees photos.
        camera: that they were taken with.
        files: which files are written.
        measured: points whose depth is known.
        sure: how sure the depth is.
        videos: how their depth is shown.
    """

    run: str
    checkpoint: Literal["best", "last"] | None
    runs_root: Path
    images: list[str]
    output: Path
    overwrite: bool
    view: ViewChoice
    camera: CameraChoice
    files: FileChoice
    measured: MeasuredChoice
    sure: ConfidenceChoice
    videos: VideoChoice
