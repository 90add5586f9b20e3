"""Pictures of point clouds from any viewpoint: every point a small square, near ones before far ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from callbacks.pictures.colors import Picture

#: Share of the points, on either side, that a fitted viewpoint leaves outside, so that stray points set no scale.
STRAY = 0.005

#: Share of a fitted picture that is left free on either side.
MARGIN = 0.03

#: Metres; points nearer to the eye of a perspective view are not drawn.
NEAREST = 0.05


@dataclass(frozen=True)
class Viewpoint:
    """A camera that looks at a cloud, or an orthographic view of it.

    Attributes:
        axes: (3, 3), rows are the picture's right, its down, and the direction of view, as unit vectors in the
            coordinates of the cloud.
        eye: (3,) position in the coordinates of the cloud, metres.
        scale: focal length in pixels of a perspective view, pixels of a metre in an orthographic one.
        centre: (2,) column and row that the direction of view meets; pixel centres are at integers.
        size: height and width of the picture.
        perspective: whether distant points are drawn closer together; else the view is orthographic.
    """

    axes: NDArray[np.float64]
    eye: NDArray[np.float64]
    scale: float
    centre: tuple[float, float]
    size: tuple[int, int]
    perspective: bool = True

    def project(self, positions: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return columns and rows (N, 2) of positions (N, 3), and their distances (N,) along the direction of view."""
        right, down, distance = self.axes @ (np.asarray(positions, dtype=np.float64) - self.eye).T
        plane = np.stack([right, down], axis=1)
        if self.perspective:
            distance = np.where(distance < NEAREST, np.nan, distance)
            plane = plane / distance[:, None]
        return self.scale * plane + self.centre, distance


def fitted(
    positions: NDArray,
    axes: NDArray[np.float64],
    eye: NDArray[np.float64],
    size: tuple[int, int],
    *,
    perspective: bool = True,
) -> Viewpoint:
    """Return the viewpoint that shows nearly all of some positions as large as the picture allows.

    Args:
        positions: (N, 3), at least one.
        axes: of the viewpoint.
        eye: of the viewpoint.
        size: height and width of the picture.
        perspective: of the viewpoint.
    """
    pixels, _ = Viewpoint(axes, eye, 1.0, (0.0, 0.0), size, perspective).project(positions)
    low, high = np.nanquantile(pixels, (STRAY, 1 - STRAY), axis=0)
    room = (1 - 2 * MARGIN) * (np.array(size[::-1]) - 1)
    scale = float((room / np.maximum(high - low, 1e-6)).min())
    column, row = (np.array(size[::-1]) - 1) / 2 - scale * (low + high) / 2
    return Viewpoint(axes, eye, scale, (float(column), float(row)), size, perspective)


def splat(cloud: NDArray, view: Viewpoint, width: int = 2, background: int = 255) -> Picture:
    """Draw a cloud, (h, w, 3); of the points that cover a pixel the nearest one gives its colour.

    Args:
        cloud: (N, 6), as :func:`~callbacks.pictures.point_clouds.colored_cloud` makes it.
        view: the viewpoint.
        width: pixels along a side of the square that a point covers.
        background: grey level where no point is, 0 to 255.
    """
    height, columns = view.size
    pixels, distance = view.project(cloud[:, :3])
    visible = np.isfinite(pixels).all(axis=1)
    order = np.flatnonzero(visible)[np.argsort(distance[visible], kind="stable")]
    corners = np.floor(pixels[order] - (width - 1) / 2 + 0.5).astype(np.int64)
    nearest = np.full(height * columns, len(order))  # rank by distance of the point that a pixel shows
    for offset in np.ndindex(width, width):
        column, row = (corners + offset).T
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < height)
        np.minimum.at(nearest, row[inside] * columns + column[inside], np.flatnonzero(inside))
    colors = np.concatenate([cloud[order, 3:], np.full((1, 3), background)]).astype(np.uint8)
    return colors[nearest].reshape(height, columns, 3)
