"""Pictures of what a method sees and says: image, depth, error, boundaries, edges, classes, segment hierarchy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import LightningModule
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from callbacks.pictures.boundary_picture import boundary_legend, boundary_picture
from callbacks.pictures.class_colors import RGB, ClassColors
from callbacks.pictures.colors import Picture, segment_picture
from callbacks.pictures.frame_pictures import FramePictures
from callbacks.pictures.frame_view import FrameView, depth_scale, error_scale, view_frame
from callbacks.pictures.picture_files import write_figure
from callbacks.pictures.task_pictures import edge_pictures, read_semantics, region_support_pictures, semantic_pictures

#: Pictures in a row.
COLUMNS = 4

#: What a cell of a panel shows: a titled picture, perhaps with what its colours mean, names and colours of classes, or
#: nothing.
Cell = tuple[str, Picture] | tuple[str, Picture, dict[str, RGB]] | dict[str, RGB] | None

#: Classes that a legend names; those with fewer pixels are left out.
LEGEND_ENTRIES = 22


class Panels(FramePictures):
    """Write ``panels/<data set>_<index>.png``: what :func:`draw_panel` draws."""

    folder = "panels"

    def draw(self, stem: Path, outputs: Any, batch: Any, i: int, pl_module: LightningModule, datamodule: Any) -> None:
        """Draw a panel."""
        view = view_frame(
            outputs["prediction"],
            batch,
            i,
            pl_module,
            protocol=outputs.get("protocol"),
            oracle=outputs.get("oracle", ""),
        )
        colors = ClassColors(datamodule.classes)
        write_figure(draw_panel(view, outputs["prediction"], batch, i, colors), stem.with_suffix(".png"))


def draw_panel(view: FrameView, prediction: Any, batch: Any, i: int, colors: ClassColors | None = None) -> Figure:
    """Panel of frame ``i`` of a batch, on the truth's grid; the depth bar is shared by truth and prediction.

    Classes and edges are there for methods that predict them, beside their truth where the data have it; true classes
    for methods that read them; steps towards the depth for methods that have them, beside the region support where the
    data have it.

    Args:
        view: of the frame.
        prediction: the method's, for the batch.
        batch: the batch.
        i: position in the batch.
        colors: of the data set's classes; None for NYU40.
    """
    truth, predicted, error = view.pictures()
    name = f"{batch['scene'][i]}, frame {int(batch['frame'][i])}"
    depth: list[Cell] = [(name, view.image), ("ground truth", truth)]
    edges: list[Cell] = []
    if view.predicted is not None:
        depth += [(view.prediction_title, predicted), (f"|error| / truth, mean {view.abs_rel:.3f}", error)]
        edges.append(("boundaries", boundary_picture(view), boundary_legend(view)))
    edges += edge_pictures(prediction, batch, i).items()
    colors = colors or ClassColors()
    classes, legend = semantic_pictures(prediction, batch, i, colors)
    if view.oracle == "semantics" and not classes:
        classes, legend = read_semantics(batch, i, colors)
    support = region_support_pictures(prediction, batch, i, (view.low, view.high))
    groups: list[list[Cell]] = [
        depth, edges, [*classes.items(), *([legend] if legend else [])], [*support.items()]
    ]  # fmt: skip
    for level, segments in enumerate(prediction.segments):
        ids = segments[i].cpu().numpy()
        groups.append([(f"level {level}: {len(np.unique(ids))} segments", segment_picture(ids, view.image))])
    return compose_panel(arrange(groups), view.low, view.high, with_error=view.predicted is not None)


def arrange(groups: Sequence[Sequence[Cell]]) -> list[Cell]:
    """Cells row by row; a group that does not fit into the rest of a row begins a new one."""
    cells: list[Cell] = []
    for group in groups:
        left = -len(cells) % COLUMNS
        if len(group) > left:
            cells += [None] * left
        cells += group
    return cells


def compose_panel(cells: Sequence[Cell], low: float, high: float, *, with_error: bool = True) -> Figure:
    """Cells, four a row, the first a picture, with bars for depth (metres) and, where the fourth shows it, error."""
    rows = -(-len(cells) // COLUMNS)
    height, width = next(cell[1].shape[:2] for cell in cells if isinstance(cell, tuple))
    figure = Figure(figsize=(13, rows * (3.1 * height / width + 0.35)), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, cell in zip(axes.flat, cells, strict=False):
        if isinstance(cell, tuple):
            axis.imshow(cell[1])
            axis.set_title(cell[0], fontsize=9)
            if len(cell) == 3:
                draw_key(axis, cell[2])
        elif cell is not None:
            draw_legend(axis, cell)
    last = 3 if with_error else 2
    figure.colorbar(depth_scale(low, high), ax=axes[0, :last], label="depth [m]", shrink=0.85, pad=0.01)
    if with_error:
        figure.colorbar(error_scale(), ax=axes[0, 3], label="relative error", shrink=0.85, pad=0.02)
    return figure


def draw_key(axis: Axes, meanings: dict[str, RGB]) -> None:
    """What the colours of a picture mean, in one line below it."""
    axis.legend(
        handles=patches_of(meanings), loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=len(meanings),
        fontsize=6.5, frameon=False, borderaxespad=0.1, handlelength=1.0, handletextpad=0.4, columnspacing=0.8,
    )  # fmt: skip


def patches_of(meanings: dict[str, RGB]) -> list[Patch]:
    """Handles of a legend."""
    return [
        Patch(facecolor=(red / 255, green / 255, blue / 255), edgecolor="0.4", label=name)
        for name, (red, green, blue) in meanings.items()
    ]


def draw_legend(axis: Axes, classes: dict[str, RGB]) -> None:
    """Names of classes beside their colours, in two columns, at most :data:`LEGEND_ENTRIES`."""
    patches = patches_of(dict(list(classes.items())[:LEGEND_ENTRIES]))
    axis.legend(handles=patches, loc="upper left", ncols=2, fontsize=7, frameon=False, borderaxespad=0)
