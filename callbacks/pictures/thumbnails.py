"""A small picture of every test frame, for `segdepth compare`: what lies behind each point of a scatter plot."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from lightning.pytorch import Trainer
from numpy.typing import NDArray

from callbacks.pictures.boundary_picture import boundary_picture
from callbacks.pictures.colors import Picture, segment_picture
from callbacks.pictures.frame_view import FrameView, view_frame
from callbacks.records.frame_callback import FrameCallback, FrameOutput
from callbacks.records.optional_files import OptionalFiles

#: What the pictures of a strip show, from left to right.
TILES = ("image", "truth", "prediction", "error", "boundaries")


class Thumbnails(FrameCallback):
    """Write ``thumbnails/<data set>/<index>.jpg`` for every test frame: a strip of the pictures of :data:`TILES`.

    Boundaries are those of :func:`~callbacks.pictures.boundary_picture.boundary_picture`, of depth reduced to the size
    of the picture, and the tolerance is in its pixels. Of a method without depth, its finest and coarsest segments take
    the places of prediction and error. Each process writes its own frames.

    Args:
        width: of a picture, in pixels.
        quality: of the JPEG, 1 to 100.

    Raises:
        ValueError: if width or quality is out of range.
    """

    def __init__(self, width: int = 160, quality: int = 85):
        if width < 16:
            raise ValueError(f"Thumbnails: `width` must be at least 16 pixels, got {width}")
        if not 1 <= quality <= 100:
            raise ValueError(f"Thumbnails: `quality` must be from 1 to 100, got {quality}")
        self.width, self.quality = width, quality
        self.files = OptionalFiles("thumbnails")

    def chosen(self, data: Any, method: Any, dataset: Any) -> Collection[int] | None:
        """Return None, for all frames, or none of them on a disk that is full."""
        return frozenset() if self.files.stopped else None

    def on_frame(self, trainer: Trainer, frame: FrameOutput) -> None:
        """Write the strip of a frame."""
        view = view_frame(frame, width=self.width)
        view = replace(view, boundary=replace(view.boundary, backend="cv2"))  # faster, and near enough
        segments = [ids[frame.i].cpu().numpy() for ids in frame.outputs["prediction"].segments]
        picture = strip(view, segments)[..., ::-1]  # OpenCV takes BGR
        _, encoded = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, self.quality))
        folder = Path(trainer.default_root_dir) / "thumbnails" / frame.data.name
        self.files.write_or_stop(folder / f"{frame.index:04d}.jpg", encoded.tobytes())


def strip(view: FrameView, segments: Sequence[NDArray[np.int64]] = ()) -> Picture:
    """Return the pictures of :data:`TILES` beside each other, (h, 5 w, 3).

    Args:
        view: the frame, whose maps are as large as its image, (h, w).
        segments: label maps, fine to coarse, of any size; shown where no depth is predicted.
    """
    truth, *predicted = view.pictures()
    if view.predicted is None and segments:
        size = (view.image.shape[1], view.image.shape[0])
        predicted = [
            segment_picture(cv2.resize(ids.astype(np.int32), size, interpolation=cv2.INTER_NEAREST), view.image)
            for ids in (segments[0], segments[-1])
        ]
        predicted = [
            cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8) for picture in predicted
        ]  # outlined ones may be larger
    return np.concatenate((view.image, truth, *predicted, boundary_picture(view)), axis=1)
