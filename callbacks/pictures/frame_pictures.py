"""Callbacks that draw a few frames of each test set."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from callbacks.pictures.picture_files import left_out_if_unwritable


class FramePictures(Callback, ABC):
    """Draw test frames evenly spread over each test set into a folder of the run, and send the pictures to W&B.

    The frames are the same for every method and every number of processes, so pictures of two runs can be compared.

    Args:
        frames: pictures per test set; 0 draws none.
    """

    #: Of the run folder; W&B has the pictures as ``test/<folder>``.
    folder: ClassVar[str]

    def __init__(self, frames: int = 4):
        self.frames = frames

    def wants(self, name: str, pl_module: Any) -> bool:
        """Whether frames of a test set are drawn."""
        return True

    @abstractmethod
    def draw(self, stem: Path, outputs: Any, batch: Any, i: int, pl_module: LightningModule, datamodule: Any) -> None:
        """Write frame ``i`` of a batch to ``<stem>.png``, and what belongs to it beside that.

        Args:
            stem: path without its ending, in the folder.
            outputs: of the module's ``test_step``.
            batch: that the frame is in.
            i: its position in the batch.
            pl_module: the method.
            datamodule: the data.
        """

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the chosen frames of a batch."""
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        loader: Any = trainer.test_dataloaders
        loader = loader[dataloader_idx] if isinstance(loader, list | tuple) else loader
        folder, name = Path(trainer.default_root_dir) / self.folder, datamodule.test_names()[dataloader_idx]
        if not self.wants(name, pl_module):
            return
        for i in chosen_frames(trainer, batch, batch_idx, loader, self.frames):
            stem = folder / f"{name}_{int(batch['index'][i]):04d}"
            with left_out_if_unwritable(stem):
                folder.mkdir(parents=True, exist_ok=True)
                self.draw(stem, outputs, batch, i, pl_module, datamodule)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send all processes' pictures to W&B."""
        trainer.strategy.barrier(self.folder)
        if isinstance(trainer.logger, WandbLogger) and trainer.is_global_zero:
            paths = sorted((Path(trainer.default_root_dir) / self.folder).glob("*.png"))
            if paths:
                key, names = f"test/{self.folder}", [path.stem for path in paths]
                trainer.logger.log_image(key, [str(path) for path in paths], caption=names)


def chosen_frames(trainer: Trainer, batch: Any, batch_idx: int, loader: Any, frames: int) -> list[int]:
    """Positions in a batch of those frames that are drawn.

    They are evenly spread over the data set, the same for every method and every number of processes.

    Args:
        trainer: knows the processes.
        batch: of this process.
        batch_idx: its number.
        loader: that it comes from.
        frames: how many of the data set are drawn.
    """
    total = len(loader.dataset)
    count = min(frames, total)
    chosen = set(np.linspace(0, total - 1, count).round().astype(int).tolist()) if count else set()
    # processes take frames in turn: rank, rank + world size, ...; a test that goes on begins later
    before = getattr(getattr(loader, "sampler", None), "start", 0)
    first, world = batch_idx * loader.batch_size + before, trainer.world_size
    return [i for i in range(len(batch["index"])) if (first + i) * world + trainer.global_rank in chosen]
