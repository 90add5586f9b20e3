"""Boundary metrics over Canny's thresholds: does a comparison of predictions hinge on the one that was chosen?"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from rich.progress import track
from torch import Tensor

from datamodules import DepthDataModule
from datamodules.files import write_text_atomically
from datamodules.sample import collate
from experiments.foreign.boundary_curve_plot import Curve, draw_curves
from experiments.foreign.stored_predictions import StoredPredictions
from lightning_modules.batch import Batch
from lightning_modules.metrics import BoundaryError, BoundaryProtocol
from lightning_modules.metrics.boundary import BoundaryMeans, boundary_curves

#: Upper thresholds on the gradient of the normalised depth; the protocol's own is added.
THRESHOLDS = (0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2)


def write_boundary_curves(
    sets: Mapping[str, StoredPredictions], module: DepthDataModule, folder: Path
) -> tuple[Path, Path]:
    """Measure prediction sets at every threshold, and write ``boundary_curve_<data set>.png`` and ``.csv``.

    Args:
        sets: predictions by the name they are shown under; all of one protocol and with the same options.
        module: the data, whose test part is read.
        folder: where to write.

    Returns:
        The two paths.

    Raises:
        ValueError: if the data have no annotated boundaries.
    """
    if "occlusion" not in module.provides:
        raise ValueError(f"{module.name} has no annotated boundaries: {module.hint('occlusion')}")
    boundary = _protocol(next(iter(sets.values())))
    thresholds = sorted({*THRESHOLDS, boundary.high})
    curves = measure_curves(sets, module, thresholds)
    folder.mkdir(parents=True, exist_ok=True)
    picture, table = (folder / f"boundary_curve_{module.name}{suffix}" for suffix in (".png", ".csv"))
    draw_curves(picture, module.name, curves, boundary)
    _write_table(table, curves, boundary.low / boundary.high if boundary.high else 0.0)
    return picture, table


def measure_curves(
    sets: Mapping[str, StoredPredictions], module: DepthDataModule, thresholds: Sequence[float]
) -> dict[str, Curve]:
    """Return the metrics of :class:`~lightning_modules.metrics.BoundaryError` by set, then by upper threshold."""
    metrics = {name: {high: _Point() for high in thresholds} for name in sets}
    module.setup_test()
    for position in track(range(len(module.test_set)), "boundary curve"):
        batch = cast(Batch, collate([module.test_set[position]]))
        for name, stored in sets.items():
            _add_frame(metrics[name], stored, batch)
    return {
        name: {high: {key: float(value) for key, value in metric.compute().items()} for high, metric in own.items()}
        for name, own in metrics.items()
    }


class _Point(BoundaryMeans):
    """Means at one threshold, of metrics that come with those of the other thresholds."""

    def update(self, metrics: dict[str, Tensor], nonfinite: Tensor) -> None:
        self.add_values(metrics, nonfinite)


@torch.no_grad()
def _add_frame(points: Mapping[float, _Point], stored: StoredPredictions, batch: Batch) -> None:
    boundary = _protocol(stored)
    depth, _, _ = stored.protocol.prepare(cast(Tensor, stored(batch).depth), batch["depth"], batch["valid"])
    prepared = boundary.prepare(depth, batch["occlusion"], None)
    nonfinite = prepared[2] & ~prepared[0].isfinite()
    for point, metrics in zip(points.values(), boundary_curves(*prepared, boundary, list(points)), strict=True):
        point.update(metrics, nonfinite)


def _protocol(stored: StoredPredictions) -> BoundaryProtocol:
    """How edges are sought in the evaluation of these predictions."""
    return BoundaryError.for_data(stored.protocol, 0, stored.evaluation.of("boundary")).protocol


def _write_table(path: Path, curves: Mapping[str, Curve], ratio: float) -> None:
    rows = [
        {"predictions": name, "low": f"{ratio * high:g}", "high": f"{high:g}", **metrics}
        for name, curve in curves.items()
        for high, metrics in curve.items()
    ]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomically(path, text.getvalue())
