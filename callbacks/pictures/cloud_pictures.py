"""Point clouds of test frames: files for viewers, and pictures beside the truth."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule

from callbacks.pictures.cloud_sheet import draw_cloud_sheet
from callbacks.pictures.frame_pictures import FramePictures
from callbacks.pictures.frame_result import FrameResult, frame_result
from callbacks.pictures.picture_files import write_figure
from callbacks.pictures.point_clouds import colored_cloud, write_ply


class CloudPictures(FramePictures):
    """Write ``clouds/<data set>_<index>.png`` for the frames of :class:`~callbacks.Panels`.

    A picture shows the predicted cloud beside the true one, frontal and from above, and the parts of the method's
    segment hierarchy (see :func:`~callbacks.pictures.cloud_sheet.draw_cloud_sheet`). Both clouds lie beside it as PLY
    files. A method that predicts no depth has none, nor has a test set whose point clouds are not measured
    (``evaluation.groups``).
    """

    folder = "clouds"

    def wants(self, name: str, pl_module: Any) -> bool:
        """Whether the point clouds of a test set are measured."""
        return "cloud" in pl_module.evaluations[f"test/{name}"].metrics

    def draw(self, stem: Path, outputs: Any, batch: Any, i: int, pl_module: LightningModule, datamodule: Any) -> None:
        """Draw and write both clouds."""
        write_clouds(frame_result(outputs, batch, i, pl_module), stem)


def write_clouds(result: FrameResult, stem: Path) -> None:
    """Write ``<stem>.png``, ``<stem>_truth.ply`` and ``<stem>_prediction.ply``; nothing where no pixel is evaluated."""
    if result.view is None:
        return
    title = f"oracle {result.view.oracle}" if result.view.oracle else "prediction"  # both do not fit
    if (sheet := draw_cloud_sheet({title: result})) is None:
        return
    write_figure(sheet, stem.with_suffix(".png"))
    for name, depth in (("truth", result.view.truth), ("prediction", result.view.predicted)):
        write_ply(stem.with_name(f"{stem.name}_{name}.ply"), colored_cloud(result.view, result.intrinsics, depth=depth))
