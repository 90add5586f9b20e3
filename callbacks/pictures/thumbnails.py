"""A small picture of every test frame, for `segdepth compare`: what lies behind each point of a scatter plot."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray

from callbacks.pictures.boundary_picture import boundary_picture
from callbacks.pictures.colors import Picture, segment_picture
from callbacks.pictures.frame_view import FrameView, view_frame

#: What the pictures of a strip show, from left to right.
TILES = ("image", "truth", "prediction", "error", "boundaries")


class Thumbnails(Callback):
    """Write ``thumbnails/<data set>/<index>.jpg`` for every test frame: a strip of the pictures of :data:`TILES`.

    Boundaries are those of :func:`~callbacks.pictures.boundary_picture.boundary_picture`, of depth reduced to the size
    of the picture, and its pixels are those of the tolerance. Of a method without depth, its finest and coarsest
    segments take the places of prediction and error. Each process writes its own frames.

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
        self.writes = True

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the strips of a batch; a disk that is full ends them, not the test."""
        if not self.writes:
            return
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        folder = Path(trainer.default_root_dir) / "thumbnails" / datamodule.test_names()[dataloader_idx]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for i, index in enumerate(batch["index"].tolist()):
                view = view_frame(
                    outputs["prediction"],
                    batch,
                    i,
                    pl_module,
                    self.width,
                    protocol=outputs.get("protocol"),
                    oracle=outputs.get("oracle", ""),
                )
                view = replace(view, boundary=replace(view.boundary, backend="cv2"))  # faster, and near enough
                segments = [ids[i].cpu().numpy() for ids in outputs["prediction"].segments]
                picture = strip(view, segments)[..., ::-1]  # OpenCV takes BGR
                _, encoded = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, self.quality))
                (folder / f"{index:04d}.jpg").write_bytes(encoded.tobytes())
        except OSError as error:
            self.writes = False
            rank_zero_warn(f"{folder}: {error.strerror or error}; no further thumbnails, the test goes on")


def strip(view: FrameView, segments: Sequence[NDArray[np.int64]] = ()) -> Picture:
    """The pictures of :data:`TILES` beside each other, (h, 5 w, 3); ``segments`` are label maps, fine to coarse."""
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
