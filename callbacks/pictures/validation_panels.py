"""Pictures and point clouds of the same few validation frames while a method learns."""

from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import wandb
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from matplotlib.figure import Figure
from numpy.typing import NDArray

from callbacks.lightning_internals import datamodule_of, loader_of
from callbacks.pictures.frame_pictures import spread_frames
from callbacks.pictures.frame_view import view_frame
from callbacks.pictures.panels import draw_panel
from callbacks.pictures.point_clouds import colored_cloud, ply_bytes
from callbacks.records.all_processes import gather_objects
from callbacks.records.frame_callback import frames_of
from callbacks.records.optional_files import OptionalFiles
from callbacks.records.wandb_media import log_pictures

#: Bytes that a panel may have.
MAX_BYTES = 200_000


class Drawn(NamedTuple):
    """The drawings of a frame, as they travel to global rank zero.

    Attributes:
        panel: content of a JPEG file.
        cloud: (N, 6), see :func:`~callbacks.pictures.point_clouds.colored_cloud`.
    """

    panel: bytes
    cloud: NDArray[np.float32]


class ValidationPanels(Callback):
    """Draw panels of fixed validation frames, as :class:`~callbacks.Panels` does, and point clouds of them.

    The frames are evenly spread over the validation part, the same for every method and every number of processes. The
    newest drawing of each lies in the run folder, ``panels/val/<index>.jpg`` and ``<index>.ply``; W&B keeps all of them
    as ``val/panels`` and ``val/clouds``. A panel has at most :data:`MAX_BYTES`, a cloud 20,000 points. A process draws
    the frames that it validates, and global rank zero writes. A disk that is full ends the drawing, not the training.

    Args:
        frames: how many frames.
        every_n_epochs: epochs between drawings; where validation is rarer, every validation is drawn.

    Raises:
        ValueError: if either is not positive.
    """

    def __init__(self, frames: int = 4, every_n_epochs: int = 5):
        if frames < 1:
            raise ValueError(
                f"ValidationPanels: `frames` must be positive, got {frames}; leave the callback out for none"
            )
        if every_n_epochs < 1:
            raise ValueError(f"ValidationPanels: `every_n_epochs` must be positive, got {every_n_epochs}")
        self.frames, self.every_n_epochs = frames, every_n_epochs
        self.drawn: dict[int, Drawn] = {}
        self.files = OptionalFiles("validation panels", continues="training")

    def is_due(self, trainer: Trainer) -> bool:
        """Return whether a multiple of ``every_n_epochs`` epochs was reached since the validation before."""
        if trainer.sanity_checking:
            return False
        if trainer.state.fn != "fit":
            return True
        done, between = trainer.current_epoch + 1, trainer.check_val_every_n_epoch or 1
        return done // self.every_n_epochs > (done - between) // self.every_n_epochs

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the chosen frames of a batch."""
        if self.files.stopped or not self.is_due(trainer):
            return
        dataset = loader_of(trainer.val_dataloaders, dataloader_idx).dataset
        chosen = spread_frames(dataset, self.frames)
        for frame in frames_of(outputs, batch, datamodule_of(trainer), pl_module, chosen):
            view = view_frame(frame)
            cloud = colored_cloud(view, batch["intrinsics"][frame.i])
            self.drawn[frame.index] = Drawn(as_jpeg(draw_panel(frame, view)), cloud)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the drawings together, write them and send them to W&B."""
        if not self.is_due(trainer):
            return
        drawn = dict(sorted((index, frame) for part in gather_objects(self.drawn) for index, frame in part.items()))
        self.drawn = {}
        if not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir) / "panels" / "val"
        panels = {}
        for index, frame in drawn.items():
            panels[f"epoch {trainer.current_epoch}, index {index}"] = folder / f"{index:04d}.jpg"
            self.files.write_or_stop(folder / f"{index:04d}.jpg", frame.panel)
            self.files.write_or_stop(folder / f"{index:04d}.ply", ply_bytes(frame.cloud))
        if not self.files.stopped:
            log_pictures(trainer, "val/panels", panels)
            if isinstance(trainer.logger, WandbLogger):
                trainer.logger.log_metrics(clouds_of(drawn))


def clouds_of(drawn: dict[int, Drawn]) -> Any:
    """Return the clouds as W&B's viewer takes them, one key a frame; a cloud of no point is left out."""
    return {f"val/clouds/{index}": wandb.Object3D(frame.cloud) for index, frame in drawn.items() if len(frame.cloud)}


def as_jpeg(figure: Figure, limit: int = MAX_BYTES) -> bytes:
    """Return a figure as the content of a JPEG file, in the best quality that fits.

    Where none fits, the picture is made half as large, at most twice.

    Args:
        figure: the figure.
        limit: bytes that the file may have.
    """
    for dpi in (80, 40, 20):
        for quality in (85, 60, 35):
            buffer = BytesIO()
            figure.savefig(buffer, format="jpeg", dpi=dpi, pil_kwargs={"quality": quality})
            if buffer.tell() <= limit:
                return buffer.getvalue()
    return buffer.getvalue()
