"""Point clouds of test frames: files for viewers, and pictures beside the truth."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from callbacks.cloud_sheet import draw_cloud_sheet
from callbacks.frame_result import FrameResult, frame_result
from callbacks.panels import chosen_frames
from callbacks.point_clouds import colored_cloud, write_ply


class CloudPictures(Callback):
    """Write ``clouds/<data set>_<index>.png`` for the frames of :class:`~callbacks.Panels`, and send them to W&B.

    A picture shows the predicted cloud beside the true one, frontal and from above, and the parts of the method's
    segment hierarchy (see :func:`~callbacks.cloud_sheet.draw_cloud_sheet`). Both clouds lie beside it as PLY files. A
    method that predicts no depth has none.

    Args:
        frames: pictures per test set; 0 writes none.
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
        loader: Any = trainer.test_dataloaders
        loader = loader[dataloader_idx] if isinstance(loader, list | tuple) else loader
        folder = Path(trainer.default_root_dir) / "clouds"
        for i in chosen_frames(trainer, batch, batch_idx, loader, self.frames):
            result = frame_result(outputs, batch, i, pl_module)
            stem = folder / f"{datamodule.test_names()[dataloader_idx]}_{result.index:04d}"
            write_clouds(result, stem)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send all processes' pictures to W&B."""
        trainer.strategy.barrier("clouds")
        if isinstance(trainer.logger, WandbLogger) and trainer.is_global_zero:
            paths = sorted((Path(trainer.default_root_dir) / "clouds").glob("*.png"))
            if paths:
                trainer.logger.log_image("test/clouds", [str(path) for path in paths], caption=[p.stem for p in paths])


def write_clouds(result: FrameResult, stem: Path) -> None:
    """Write ``<stem>.png``, ``<stem>_truth.ply`` and ``<stem>_prediction.ply``; nothing where no pixel is evaluated."""
    if result.view is None:
        return
    title = f"oracle {result.view.oracle}" if result.view.oracle else "prediction"  # both do not fit
    if (sheet := draw_cloud_sheet({title: result})) is None:
        return
    stem.parent.mkdir(parents=True, exist_ok=True)
    sheet.savefig(stem.with_suffix(".png"), dpi=100)
    for name, depth in (("truth", result.view.truth), ("prediction", result.view.predicted)):
        write_ply(stem.with_name(f"{stem.name}_{name}.ply"), colored_cloud(result.view, result.intrinsics, depth=depth))
