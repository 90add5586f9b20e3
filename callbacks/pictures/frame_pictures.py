"""Callbacks that draw a few frames of each test set."""

from abc import abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from lightning.pytorch import LightningModule, Trainer

from callbacks.records.frame_callback import FrameCallback, FrameOutput
from callbacks.records.optional_files import OptionalFiles
from callbacks.records.wandb_media import log_pictures


class FramePictures(FrameCallback):
    """Draw test frames evenly spread over each test set into a folder of the run, and send the pictures to W&B.

    The frames are the same for every method and every number of processes, so pictures of two runs can be compared.

    Args:
        frames: pictures per test set; 0 draws none.
    """

    #: Subfolder of the run folder; W&B has the pictures as ``test/<folder>``.
    folder: ClassVar[str]

    def __init__(self, frames: int = 4):
        self.frames = frames
        self.files = OptionalFiles(f"pictures in {self.folder}/")

    @abstractmethod
    def draw(self, frame: FrameOutput, stem: Path) -> None:
        """Write a picture of a frame to ``<stem>.png``, and what belongs to it beside that, through ``files``.

        Args:
            frame: the frame.
            stem: path without its ending, in the folder.
        """

    def chosen(self, data: Any, method: Any, dataset: Any) -> Collection[int]:
        """Return the data set numbers of the frames that are drawn, none on a disk that is full."""
        return frozenset() if self.files.stopped else spread_frames(dataset, self.frames)

    def on_frame(self, trainer: Trainer, frame: FrameOutput) -> None:
        """Draw a chosen frame."""
        self.draw(frame, Path(trainer.default_root_dir) / self.folder / f"{frame.data.name}_{frame.index:04d}")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send all processes' pictures to W&B."""
        trainer.strategy.barrier(self.folder)
        if trainer.is_global_zero:
            paths = sorted((Path(trainer.default_root_dir) / self.folder).glob("*.png"))
            log_pictures(trainer, f"test/{self.folder}", {path.stem: path for path in paths})


def spread_frames(dataset: Any, count: int) -> frozenset[int]:
    """Return the data set numbers of frames evenly spread over some frames.

    Args:
        dataset: the frames, a :class:`~datamodules.frames.FrameDataset`.
        count: how many; fewer where there are not as many.
    """
    count = min(count, len(dataset))
    places = np.linspace(0, len(dataset) - 1, count).round().astype(int) if count else ()
    return frozenset(dataset.reader.indices[dataset.indices[place]] for place in places)
