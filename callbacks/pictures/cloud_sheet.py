"""Predicted point clouds beside the true one, frontal and from above, and their parts (SHED, Fig. 7 and Table 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from callbacks.pictures.colors import Picture, part_picture
from callbacks.pictures.frame_result import FrameResult
from callbacks.pictures.frame_view import FrameView
from callbacks.pictures.gravity import up_direction
from callbacks.pictures.lettering import put_title
from callbacks.pictures.point_clouds import back_project, colored_cloud, grid_stride
from callbacks.pictures.splatting import Viewpoint, fitted, splat

#: Points that a cloud of a picture has at most, and pixels of its longer side.
PICTURE_POINTS, PICTURE_SIDE = 80_000, 480

#: The frontal view: degrees around the room's middle to the right and up, and its distance in those of the camera.
AZIMUTH, ELEVATION, PULLED_BACK = 20.0, 12.0, 1.15

#: Metres above the camera; what is higher, ceilings and lamps, is cut away in the view from above.
CUT_HEIGHT = 0.7

#: Lengths in metres of the bar in the view from above; the longest that takes less than half of the width is drawn.
BAR_LENGTHS = (1.0, 0.5, 0.2, 0.1)

NOTE = (
    "chamfer: mean distance of predicted points to the nearest true one / of true points to the nearest predicted one. "
    f"From above: without what is more than {CUT_HEIGHT} m above the camera."
)

#: Points of the grid from which the vertical is found.
GRAVITY_POINTS = 10_000


@dataclass(frozen=True)
class RoomViews:
    """Viewpoints of a frame's clouds, chosen by its truth, so that all of its clouds are seen alike.

    Attributes:
        up: (3,) the vertical, in the coordinates of the clouds.
        frontal: perspective, from the right of the camera and above it.
        above: orthographic, straight from above; far is at the top.
    """

    up: NDArray[np.float64]
    frontal: Viewpoint
    above: Viewpoint


def room_views(view: FrameView, intrinsics: torch.Tensor) -> RoomViews | None:
    """Return the viewpoints of a frame; None if it has no evaluated pixel.

    Args:
        view: the frame.
        intrinsics: (3, 3) camera matrix of the truth's grid.
    """
    truth = colored_cloud(view, intrinsics, PICTURE_POINTS, depth=view.truth)[:, :3].astype(np.float64)
    if not len(truth):
        return None
    height, width = view.truth.shape
    size = (round(PICTURE_SIDE * height / max(height, width)), round(PICTURE_SIDE * width / max(height, width)))
    up = vertical_of(view, intrinsics)
    low = truth[truth @ up <= CUT_HEIGHT]
    gaze = np.array([0.0, 0.0, -1.0] if abs(up[2]) < 0.99 else [0.0, 1.0, 0.0])  # or the camera's up, looking down
    ahead = gaze - (gaze @ up) * up
    ahead /= np.linalg.norm(ahead)
    from_above = np.stack([np.cross(ahead, up), -ahead, -up])
    return RoomViews(
        up,
        frontal=frontal_view(truth, up, size),
        above=fitted(low if len(low) else truth, from_above, np.zeros(3), size, perspective=False),
    )


def frontal_view(truth: NDArray[np.float64], up: NDArray[np.float64], size: tuple[int, int]) -> Viewpoint:
    """Return a perspective view of a cloud from beside the camera and above it, where depth shows.

    Args:
        truth: (N, 3) true positions.
        up: (3,) the vertical.
        size: height and width of the picture.
    """
    middle = np.median(truth, axis=0)
    to_camera = Rotation.from_rotvec(np.deg2rad(AZIMUTH) * up).apply(-middle)
    rise = np.cross(to_camera, up)
    to_camera = Rotation.from_rotvec(np.deg2rad(ELEVATION) * rise / np.linalg.norm(rise)).apply(to_camera)
    gaze = -to_camera / np.linalg.norm(to_camera)
    right = np.cross(gaze, up)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(gaze, right), gaze])
    return fitted(truth, axes, middle + PULLED_BACK * to_camera, size)


def vertical_of(view: FrameView, intrinsics: torch.Tensor) -> NDArray[np.float64]:
    """Return the vertical of a frame, (3,), by :func:`~callbacks.pictures.gravity.up_direction` of its true depth."""
    stride = grid_stride(view.truth.shape, GRAVITY_POINTS)
    rows, columns = np.mgrid[: view.truth.shape[0] : stride, : view.truth.shape[1] : stride]
    depth = view.truth[rows, columns]
    points = back_project(rows.ravel(), columns.ravel(), depth.ravel(), intrinsics, view.radial)
    return up_direction(points.reshape(*rows.shape, 3), view.evaluated[rows, columns])


def part_cloud(result: FrameResult, level: int, points: int = PICTURE_POINTS) -> NDArray[np.float32]:
    """Return the predicted cloud of a frame (N, 6), coloured by its segments of a level."""
    assert result.view is not None
    picture = part_picture(result.segments[level], result.image)
    colors = cv2.resize(picture, result.view.truth.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return colored_cloud(result.view, result.intrinsics, points, colors=cast(Picture, colors))


def draw_cloud_sheet(results: Mapping[str, FrameResult]) -> Figure | None:
    """Draw the clouds of one frame: image, truth and methods frontal, the same from above, then each method's parts.

    Args:
        results: of the same frame, by name of the method; every method predicts depth.

    Returns:
        The figure; None if the frame has no evaluated pixel.
    """
    first = next(iter(results.values()))
    assert first.view is not None
    views = room_views(first.view, first.intrinsics)
    if views is None:
        return None
    clouds = {"ground truth": colored_cloud(first.view, first.intrinsics, PICTURE_POINTS, depth=first.view.truth)}
    for name, result in results.items():
        assert result.view is not None
        clouds[f"{name}{chamfer_caption(result)}"] = colored_cloud(result.view, result.intrinsics, PICTURE_POINTS)
    pictures = [{first.title: first.image}]
    pictures[0] |= {f"{title}\nfrontal": render(cloud, views.frontal) for title, cloud in clouds.items()}
    low = {title: cloud[cloud[:, :3] @ views.up <= CUT_HEIGHT] for title, cloud in clouds.items()}
    pictures[0] |= {f"{title}\nfrom above": render(cloud, views.above) for title, cloud in low.items()}
    for name, result in results.items():
        levels = range(len(result.segments))
        parts = {level: render(part_cloud(result, level), views.frontal) for level in levels}
        counts = {level: len(np.unique(result.segments[level])) for level in levels}
        if parts:
            pictures.append({f"{name}, level {n}: {counts[n]} parts": picture for n, picture in parts.items()})
    return compose_sheet(pictures, views.above.scale)


def render(cloud: NDArray[np.float32], view: Viewpoint) -> Picture:
    """Draw a cloud (N, 6) with points so wide that most gaps between them are closed."""
    height, width = view.size
    return splat(cloud, view, width=int(np.clip(np.sqrt(2 * height * width / max(1, len(cloud))), 1, 8)))


def chamfer_caption(result: FrameResult) -> str:
    """Return both chamfer distances of a frame in words; empty where they were not measured."""
    distances = [result.metrics.get(f"chamfer3d_{way}", np.nan) for way in ("precision", "recall")]
    return "" if np.isnan(distances).any() else ", chamfer {:.3f} / {:.3f} m".format(*distances)


def compose_sheet(rows: list[dict[str, Picture]], metre: float) -> Figure:
    """Draw rows of titled pictures, with a scale in those from above.

    Args:
        rows: pictures by title.
        metre: pixels of a metre in the pictures from above.
    """
    columns = max(map(len, rows))
    height, width = list(rows[0].values())[-1].shape[:2]
    figure = Figure(figsize=(3.4 * columns, len(rows) * (3.4 * height / width + 0.45) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])  # ticks take time also where they are not seen
        axis.set_axis_off()
    for line, pictures in zip(axes, rows, strict=True):
        for axis, (title, picture) in zip(line, pictures.items(), strict=False):
            axis.imshow(picture)
            put_title(axis, title, fontsize=9)
            if title.endswith("from above"):
                draw_scale(axis, picture, metre)
    figure.supxlabel(NOTE, fontsize=8)
    return figure


def draw_scale(axis: Axes, picture: Picture, metre: float) -> None:
    """Draw a bar of one of :data:`BAR_LENGTHS` in the corner of a picture.

    Args:
        axis: that shows the picture.
        picture: (h, w, 3).
        metre: pixels of a metre.
    """
    length = next((length for length in BAR_LENGTHS if length * metre < 0.5 * picture.shape[1]), BAR_LENGTHS[-1])
    left, bottom = 0.04 * picture.shape[1], 0.95 * picture.shape[0]
    right, above = left + length * metre, bottom - 0.02 * picture.shape[0]
    halo = [withStroke(linewidth=4, foreground="white")]  # legible over points
    axis.autoscale(False)
    axis.plot([left, right], [bottom, bottom], "k", lw=2, solid_capstyle="butt", path_effects=halo)
    axis.text((left + right) / 2, above, f"{length:g} m", ha="center", va="bottom", fontsize=8, path_effects=halo)
