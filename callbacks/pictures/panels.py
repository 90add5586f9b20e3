"""Panels of what a method is shown and predicts: image, depth, error, boundaries, edges, classes, segments."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from callbacks.pictures.boundary_picture import boundary_legend, boundary_picture
from callbacks.pictures.class_colors import RGB, ClassColors
from callbacks.pictures.colors import Picture, segment_picture
from callbacks.pictures.frame_pictures import FramePictures
from callbacks.pictures.frame_view import FrameView, depth_scale, error_scale, view_frame
from callbacks.pictures.lettering import put_title
from callbacks.pictures.picture_files import png_bytes
from callbacks.pictures.task_pictures import edge_pictures, read_semantics, region_support_pictures, semantic_pictures
from callbacks.records.frame_callback import FrameOutput

#: Pictures in a row.
COLUMNS = 4

#: A cell of a panel: a title and a picture, these two and a legend of its colours, a legend alone, or nothing.
Cell = tuple[str, Picture] | tuple[str, Picture, dict[str, RGB]] | dict[str, RGB] | None

#: Classes that a legend names; those with fewer pixels are left out.
LEGEND_ENTRIES = 22


class Panels(FramePictures):
    """Write ``panels/<data set>_<index>.png``: the panels that :func:`draw_panel` draws."""

    folder = "panels"

    def draw(self, frame: FrameOutput, stem: Path) -> None:
        """Write a panel."""
        self.files.write_or_stop(stem.with_suffix(".png"), png_bytes(draw_panel(frame, view_frame(frame))))


def draw_panel(frame: FrameOutput, view: FrameView) -> Figure:
    """Draw the panel of a frame on the truth's grid, with one bar of depth for truth and prediction.

    Classes and edges are there for methods that predict them, beside their truth where the data have it; true classes
    for methods that read them; intermediate depths for methods that have them, beside the region support where the
    data have it; segments of every level for methods that have them.

    Args:
        frame: the frame.
        view: its maps.
    """
    truth, predicted, error = view.pictures()
    prediction, batch, i = frame.outputs["prediction"], frame.batch, frame.i
    depth: list[Cell] = [(frame.name, view.image), ("ground truth", truth)]
    edges: list[Cell] = []
    if view.predicted is not None:
        depth += [(view.prediction_title, predicted), (f"|error| / truth, mean {view.abs_rel:.3f}", error)]
        edges.append(("boundaries", boundary_picture(view), boundary_legend(view)))
    edges += edge_pictures(prediction, batch, i).items()
    colors = ClassColors(len(frame.data.class_names))
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
    """Return the cells of a panel row by row; a group that does not fit into the rest of a row begins a new one."""
    cells: list[Cell] = []
    for group in groups:
        left = -len(cells) % COLUMNS
        if len(group) > left:
            cells += [None] * left
        cells += group
    return cells


def compose_panel(cells: Sequence[Cell], low: float, high: float, *, with_error: bool = True) -> Figure:
    """Draw cells, :data:`COLUMNS` a row, with a colour bar of depth and one of error beside the first row.

    Args:
        cells: the first one is a picture, whose aspect ratio all have.
        low: metres, where the colours of depth begin.
        high: metres, where they end.
        with_error: whether the fourth cell shows the relative error, and needs a bar.
    """
    rows = -(-len(cells) // COLUMNS)
    height, width = next(cell[1].shape[:2] for cell in cells if isinstance(cell, tuple))
    figure = Figure(figsize=(13, rows * (3.1 * height / width + 0.35)), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, cell in zip(axes.flat, cells, strict=False):
        if isinstance(cell, tuple):
            axis.imshow(cell[1])
            put_title(axis, cell[0], fontsize=9)
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
    """Draw the legend of a picture's colours in one line below it."""
    axis.legend(
        handles=patches_of(meanings), loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=len(meanings),
        fontsize=6.5, frameon=False, borderaxespad=0.1, handlelength=1.0, handletextpad=0.4, columnspacing=0.8,
    )  # fmt: skip


def patches_of(meanings: dict[str, RGB]) -> list[Patch]:
    """Return the handles of a legend, by what the colours mean."""
    return [
        Patch(facecolor=(red / 255, green / 255, blue / 255), edgecolor="0.4", label=name)
        for name, (red, green, blue) in meanings.items()
    ]


def draw_legend(axis: Axes, classes: dict[str, RGB]) -> None:
    """Draw names of classes beside their colours, in two columns, at most :data:`LEGEND_ENTRIES`."""
    patches = patches_of(dict(list(classes.items())[:LEGEND_ENTRIES]))
    axis.legend(handles=patches, loc="upper left", ncols=2, fontsize=7, frameon=False, borderaxespad=0)
