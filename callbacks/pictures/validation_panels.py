"""What a method makes of the same few validation frames while it learns."""

from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import wandb
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from matplotlib.figure import Figure
from numpy.typing import NDArray

from callbacks.pictures.class_colors import ClassColors
from callbacks.pictures.frame_pictures import chosen_frames
from callbacks.pictures.frame_view import view_frame
from callbacks.pictures.panels import draw_panel
from callbacks.pictures.point_clouds import colored_cloud, write_ply
from callbacks.records.all_processes import gather_objects

#: Bytes that a panel may have.
MAX_BYTES = 200_000


class Drawn(NamedTuple):
    """A frame as it travels to global rank zero.

    Attributes:
        panel: JPEG.
        cloud: (N, 6), see :func:`~callbacks.pictures.point_clouds.colored_cloud`.
    """

    panel: bytes
    cloud: NDArray[np.float32]


class ValidationPanels(Callback):
    """Draw fixed validation frames, as :class:`~callbacks.Panels` does, and a point cloud of each.

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
        self.writes = True

    def is_due(self, trainer: Trainer) -> bool:
        """Whether this validation is drawn: it is if a multiple of ``every_n_epochs`` ended since the one before."""
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
        if not self.is_due(trainer):
            return
        loader: Any = trainer.val_dataloaders
        loader = loader[dataloader_idx] if isinstance(loader, list | tuple) else loader
        for i in chosen_frames(trainer, batch, batch_idx, loader, self.frames):
            view = view_frame(
                outputs["prediction"],
                batch,
                i,
                pl_module,
                protocol=outputs.get("protocol"),
                oracle=outputs.get("oracle", ""),
            )
            colors = ClassColors(trainer.datamodule.classes)  # type: ignore[attr-defined]
            panel = as_jpeg(draw_panel(view, outputs["prediction"], batch, i, colors))
            self.drawn[int(batch["index"][i])] = Drawn(panel, colored_cloud(view, batch["intrinsics"][i]))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the drawings together, write them and send them to W&B."""
        if not self.is_due(trainer):
            return
        drawn = {index: frame for part in gather_objects(self.drawn) for index, frame in part.items()}
        self.drawn = {}
        if not (trainer.is_global_zero and drawn and self.writes):
            return
        folder = Path(trainer.default_root_dir) / "panels" / "val"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for index, frame in drawn.items():
                (folder / f"{index:04d}.jpg").write_bytes(frame.panel)
                write_ply(folder / f"{index:04d}.ply", frame.cloud)
        except OSError as error:
            self.writes = False
            rank_zero_warn(f"{folder}: {error.strerror or error}; no further validation panels, training goes on")
            return
        if isinstance(trainer.logger, WandbLogger):
            indices = sorted(drawn)
            captions = [f"epoch {trainer.current_epoch}, index {index}" for index in indices]
            panels = [str(folder / f"{index:04d}.jpg") for index in indices]
            trainer.logger.log_image("val/panels", panels, caption=captions)
            trainer.logger.log_metrics(clouds_of(drawn))


def clouds_of(drawn: dict[int, Drawn]) -> Any:
    """The clouds as W&B's viewer takes them, one key a frame; a cloud of no point is left out."""
    return {
        f"val/clouds/{index}": wandb.Object3D(frame.cloud) for index, frame in sorted(drawn.items()) if len(frame.cloud)
    }


def as_jpeg(figure: Figure, limit: int = MAX_BYTES) -> bytes:
    """A figure as JPEG of at most ``limit`` bytes, as good as fits; half as large where no quality does."""
    for dpi in (80, 40, 20):
        for quality in (85, 60, 35):
            buffer = BytesIO()
            figure.savefig(buffer, format="jpeg", dpi=dpi, pil_kwargs={"quality": quality})
            if buffer.tell() <= limit:
                return buffer.getvalue()
    return buffer.getvalue()
