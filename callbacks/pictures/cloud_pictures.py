"""Point clouds of test frames: files for viewers, and pictures beside the truth."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from callbacks.pictures.cloud_sheet import draw_cloud_sheet
from callbacks.pictures.frame_pictures import FramePictures
from callbacks.pictures.frame_result import frame_result
from callbacks.pictures.picture_files import png_bytes
from callbacks.pictures.point_clouds import colored_cloud, ply_bytes
from callbacks.records.frame_callback import FrameOutput


class CloudPictures(FramePictures):
    """Write ``clouds/<data set>_<index>.png`` for the frames of :class:`~callbacks.Panels`.

    A picture shows the predicted cloud beside the true one, frontal and from above, and the parts of the method's
    segment hierarchy (see :func:`~callbacks.pictures.cloud_sheet.draw_cloud_sheet`). Both clouds lie beside it as PLY
    files. There is nothing of a method that predicts no depth, of a frame without an evaluated pixel, and of a test set
    whose point clouds are not measured (``evaluation.groups``).
    """

    folder = "clouds"

    def chosen(self, data: Any, method: Any, dataset: Any) -> Collection[int]:
        """Return the data set numbers of the frames that are drawn, none where point clouds are not measured."""
        measured = "cloud" in method.evaluations[f"test/{data.name}"].metrics
        return super().chosen(data, method, dataset) if measured else frozenset()

    def draw(self, frame: FrameOutput, stem: Path) -> None:
        """Write ``<stem>.png``, ``<stem>_truth.ply`` and ``<stem>_prediction.ply``."""
        result = frame_result(frame)
        if (view := result.view) is None:
            return
        title = f"oracle {view.oracle}" if view.oracle else "prediction"  # both do not fit
        if (sheet := draw_cloud_sheet({title: result})) is None:
            return
        self.files.write_or_stop(stem.with_suffix(".png"), png_bytes(sheet))
        for name, depth in (("truth", view.truth), ("prediction", view.predicted)):
            cloud = colored_cloud(view, result.intrinsics, depth=depth)
            self.files.write_or_stop(stem.with_name(f"{stem.name}_{name}.ply"), ply_bytes(cloud))
