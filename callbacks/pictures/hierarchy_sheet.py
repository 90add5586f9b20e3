"""Segment hierarchies of several methods on the same frame, beside each other (SHED, Fig. 6)."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from callbacks.pictures.colors import Picture, segment_picture
from callbacks.pictures.frame_result import FrameResult
from callbacks.pictures.lettering import put_title

#: Metrics of a level that are written above it, by abbreviation.
QUALITY = {
    "BR": "boundary_recall",
    "UE": "undersegmentation_error",
    "ASA": "achievable_accuracy",
    "EV": "explained_variance",
}

NOTE = (
    "BR boundary recall, UE undersegmentation error (lower is better), ASA achievable accuracy, "
    "EV explained variance of depth; of this image"
)


def draw_hierarchies(results: Mapping[str, FrameResult]) -> Figure:
    """Draw a row a method: the image as the method sees it, then its segments from fine to coarse, in mean colours.

    Args:
        results: of the same frame, by name of the method; every method has segments.
    """
    columns = 1 + max(len(result.segments) for result in results.values())
    height, width = next(iter(results.values())).image.shape[:2]
    figure = Figure(figsize=(3.2 * columns, len(results) * (3.1 * height / width + 0.5) + 0.3), layout="constrained")
    for line, (name, result) in zip(
        figure.subplots(len(results), columns, squeeze=False), results.items(), strict=True
    ):
        pictures: dict[str, Picture] = {f"{name}\n{result.title}": result.image}
        for level, segments in enumerate(result.segments):
            what = f"level {level}: {len(np.unique(segments))} {'segments' if level else 'superpixels'}"
            pictures[f"{what}\n{quality_caption(result, level)}"] = segment_picture(segments, result.image)
        for axis in line:
            axis.set_axis_off()
        for axis, (title, picture) in zip(line, pictures.items(), strict=False):
            axis.imshow(picture)
            put_title(axis, title, fontsize=9)
    if any(quality_caption(result, 0) for result in results.values()):
        figure.supxlabel(NOTE, fontsize=8)
    return figure


def quality_caption(result: FrameResult, level: int) -> str:
    """Return the metrics of a level in words; empty if the image has neither annotated objects nor depth."""
    values = {short: result.metrics.get(f"level{level}_{name}", np.nan) for short, name in QUALITY.items()}
    return "  ".join(f"{short} {value:.2f}" for short, value in values.items() if np.isfinite(value))
