"""Pictures of what a method sees and says: image, truth, prediction, error, segment hierarchy."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.colors import depth_picture, error_picture, segment_picture

#: Relative error that saturates the error picture.
MAX_RELATIVE_ERROR = 0.5


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
        chosen = self._chosen(len(loader.dataset))
        for i, index in enumerate(batch["index"].tolist()):
            # processes take frames in turn: rank, rank + world size, ...
            position = (batch_idx * loader.batch_size + i) * trainer.world_size + trainer.global_rank
            if position in chosen:
                figure = self.draw(outputs["prediction"], batch, i, pl_module)
                path = Path(trainer.default_root_dir) / "panels" / f"{name}_{index:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                figure.savefig(path, dpi=100)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send all processes' pictures to W&B."""
        trainer.strategy.barrier("panels")
        if isinstance(trainer.logger, WandbLogger) and trainer.is_global_zero:
            paths = sorted((Path(trainer.default_root_dir) / "panels").glob("*.png"))
            if paths:
                trainer.logger.log_image("test/panels", [str(path) for path in paths], caption=[p.stem for p in paths])

    def _chosen(self, total: int) -> set[int]:
        count = min(self.frames, total)
        return set(np.linspace(0, total - 1, count).round().astype(int).tolist()) if count else set()

    def draw(self, prediction: Any, batch: Any, i: int, pl_module: Any) -> Figure:
        """Panel of frame ``i`` of a batch, on the truth's grid; the depth bar is shared by truth and prediction."""
        protocol = pl_module.protocol
        truth, valid = batch["depth"][i : i + 1], batch["valid"][i : i + 1]
        predicted, truth, evaluated = (
            map_[0, 0].float().cpu().numpy() for map_ in protocol.prepare(prediction.depth[i : i + 1], truth, valid)
        )
        mask = evaluated > 0
        image = to_picture(batch["image"][i], *pl_module.normalization)
        low, high = np.percentile(truth[mask], (1, 99)) if mask.any() else (protocol.min_depth, protocol.max_depth)
        error = np.abs(predicted - truth) / np.where(mask, truth, 1)
        abs_rel = error[mask].mean() if mask.any() else float("nan")
        pictures = {
            f"{batch['scene'][i]}, frame {int(batch['frame'][i])}": image,
            "ground truth": depth_picture(truth, low, high, mask),
            "prediction": depth_picture(predicted, low, high),
            f"|error| / truth, mean {abs_rel:.3f}": error_picture(error, MAX_RELATIVE_ERROR, mask),
        }
        for level, segments in enumerate(prediction.segments):
            ids = segments[i].cpu().numpy()
            pictures[f"level {level}: {len(np.unique(ids))} segments"] = segment_picture(ids, image)
        return compose_panel(pictures, low, high)


def to_picture(image: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """Undo the normalisation of an image (3, H, W): (H, W, 3) uint8."""
    shape = (3, 1, 1)
    pixels = image.float().cpu() * torch.tensor(std).view(shape) + torch.tensor(mean).view(shape)
    return (pixels.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def compose_panel(pictures: dict[str, np.ndarray], low: float, high: float) -> Figure:
    """Titled pictures, four a row, with bars for depth (metres) and relative error."""
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
    depth_bar = ScalarMappable(Normalize(low, high), "Spectral")
    error_bar = ScalarMappable(Normalize(0, MAX_RELATIVE_ERROR), "magma")
    figure.colorbar(depth_bar, ax=axes[0, :3], label="depth [m]", shrink=0.85, pad=0.01)
    figure.colorbar(error_bar, ax=axes[0, 3], label="relative error", shrink=0.85, pad=0.02)
    return figure
