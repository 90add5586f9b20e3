"""Pictures of what a method sees and says: image, truth, prediction, error, boundaries, segment hierarchy."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from matplotlib.figure import Figure

from callbacks.colors import segment_picture
from callbacks.frame_view import FrameView, depth_scale, error_scale, view_frame
from callbacks.thumbnails import boundary_picture


class Panels(Callback):
    """Write ``panels/<data set>_<index>.png`` for test frames evenly spread over each test set, and send them to W&B.

    The frames are the same for every method and every number of processes, so panels of two runs can be compared.

    Args:
        frames: panels per test set; 0 writes none.
    """

    def __init__(self, frames: int = 4):
        self.frames = frames

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
        name = datamodule.test_names()[dataloader_idx]
        loader: Any = trainer.test_dataloaders
        loader = loader[dataloader_idx] if isinstance(loader, list | tuple) else loader
        for i in chosen_frames(trainer, batch, batch_idx, loader, self.frames):
            view = view_frame(outputs["prediction"], batch, i, pl_module)
            path = Path(trainer.default_root_dir) / "panels" / f"{name}_{int(batch['index'][i]):04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_panel(view, outputs["prediction"], batch, i).savefig(path, dpi=100)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send all processes' pictures to W&B."""
        trainer.strategy.barrier("panels")
        if isinstance(trainer.logger, WandbLogger) and trainer.is_global_zero:
            paths = sorted((Path(trainer.default_root_dir) / "panels").glob("*.png"))
            if paths:
                trainer.logger.log_image("test/panels", [str(path) for path in paths], caption=[p.stem for p in paths])


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
    # processes take frames in turn: rank, rank + world size, ...
    first, world = batch_idx * loader.batch_size, trainer.world_size
    return [i for i in range(len(batch["index"])) if (first + i) * world + trainer.global_rank in chosen]


def draw_panel(view: FrameView, prediction: Any, batch: Any, i: int) -> Figure:
    """Panel of frame ``i`` of a batch, on the truth's grid; the depth bar is shared by truth and prediction."""
    truth, predicted, error = view.pictures()
    pictures = {f"{batch['scene'][i]}, frame {int(batch['frame'][i])}": view.image, "ground truth": truth}
    if view.predicted is not None:
        pictures |= {
            "prediction": predicted,
            f"|error| / truth, mean {view.abs_rel:.3f}": error,
            "boundaries: true blue, predicted orange": boundary_picture(replace(view, image=view.native_image)),
        }
    for level, segments in enumerate(prediction.segments):
        ids = segments[i].cpu().numpy()
        pictures[f"level {level}: {len(np.unique(ids))} segments"] = segment_picture(ids, view.image)
    return compose_panel(pictures, view.low, view.high, with_error=view.predicted is not None)


def compose_panel(pictures: dict[str, np.ndarray], low: float, high: float, *, with_error: bool = True) -> Figure:
    """Titled pictures, four a row, with bars for depth (metres) and, where the fourth shows it, relative error."""
    columns = 4
    rows = -(-len(pictures) // columns)
    height, width = next(iter(pictures.values())).shape[:2]
    figure = Figure(figsize=(13, rows * (3.1 * height / width + 0.35)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (title, picture) in zip(axes.flat, pictures.items(), strict=False):
        axis.imshow(picture)
        axis.set_title(title, fontsize=9)
    last = 3 if with_error else 2
    figure.colorbar(depth_scale(low, high), ax=axes[0, :last], label="depth [m]", shrink=0.85, pad=0.01)
    if with_error:
        figure.colorbar(error_scale(), ax=axes[0, 3], label="relative error", shrink=0.85, pad=0.02)
    return figure
