"""Points of a photo whose depth a tape measure tells: to scale depth by, and to compare with (Semantic-MD, Fig. 5)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.files import printable, read_table
from experiments.config.error import ConfigError
from experiments.inference.depth_prediction import DepthPrediction
from experiments.inference.photo_choices import Fit


@dataclass(frozen=True)
class Point:
    """A pixel of a photo, the right way up.

    Attributes:
        x: column, from 0 at the left.
        y: row, from 0 at the top.
        metres: measured depth; NaN where none was measured.
        name: for tables.
    """

    x: float
    y: float
    metres: float = math.nan
    name: str = ""

    def depth_in(self, depth: NDArray[np.float32]) -> float:
        """Return the depth of the pixel that the point is in.

        Args:
            depth: (H, W) metres.

        Raises:
            ConfigError: if the point lies outside of the photo.
        """
        height, width = depth.shape
        column, row = math.floor(self.x + 0.5), math.floor(self.y + 0.5)  # pixel centres lie at integers
        if not (0 <= column < width and 0 <= row < height):
            raise ConfigError(f"point {self.x:g},{self.y:g} lies outside of the photo, {width} wide and {height} high")
        return float(depth[row, column])


def parse_known(values: Sequence[str]) -> list[Point]:
    """Return the points of ``--known X,Y=METRES``.

    Raises:
        ConfigError: for what is no point.
    """
    points = []
    for value in values:
        try:
            place, _, metres = value.partition("=")
            x, y = (float(number) for number in place.split(","))
            point = Point(x, y, float(metres))
        except ValueError:
            point = Point(0, 0, -1)
        if not (math.isfinite(point.metres) and point.metres > 0 and math.isfinite(point.x + point.y)):
            raise ConfigError(f"--known {value}: need X,Y=METRES, such as 320,240=2.5")
        points.append(point)
    return points


def read_points(path: Path) -> list[Point]:
    """Return the points of a CSV file: ``x,y``, and where known ``metres`` and ``name``; a line of headings may begin.

    Raises:
        ConfigError: if it cannot be read, or a line is no point, naming the line.
    """
    try:
        rows = read_table(path, "give a line x,y,metres,name for each point")
    except (FileNotFoundError, ValueError) as error:
        raise ConfigError(f"--points: {error}") from error
    if rows and not _number(rows[0][0]):
        rows = rows[1:]
    points = []
    for row in rows:
        cells = [cell.strip() for cell in row] + [""] * 4
        x, y = _number(cells[0]), _number(cells[1])
        metres = _number(cells[2]) if cells[2] else math.nan
        if x is None or y is None or metres is None or not (math.isnan(metres) or 0 < metres < math.inf):
            raise ConfigError(
                f"--points: {printable(path)}: `{','.join(row)}` is not x,y,metres,name; correct the line"
            )
        points.append(Point(x, y, metres, cells[3]))
    if not points:
        raise ConfigError(f"--points: {printable(path)}: has no point; give a line x,y,metres,name for each")
    return points


def fit_depth(result: DepthPrediction, points: Sequence[Point], fit: Fit) -> DepthPrediction:
    """Return a prediction whose depth fits measured points.

    Args:
        result: of the photo.
        points: with their measured depths.
        fit: by a ``scale``, or by ``scale_shift``: least squares over the points.

    Raises:
        ConfigError: if there are too few points, or no depth is predicted at one.
    """
    if result.depth is None:
        raise ConfigError("--known: the method predicts no depth")
    found = np.array([point.depth_in(result.depth) for point in points])
    measured = np.array([point.metres for point in points])
    if not (np.isfinite(found) & (found > 0)).all():
        where = next(point for point, depth in zip(points, found, strict=True) if not depth > 0)
        raise ConfigError(f"--known {where.x:g},{where.y:g}: no depth is predicted there; measure another point")
    if fit == "scale_shift":
        if len(np.unique(found)) < 2:
            raise ConfigError("--known_fit scale_shift: needs two points at different depths; give another `--known`")
        (scale, shift), *_ = np.linalg.lstsq(np.stack([found, np.ones_like(found)], axis=1), measured, rcond=None)
    else:
        scale, shift = float(found @ measured / (found @ found)), 0.0
    if not scale > 0:
        raise ConfigError(
            f"--known: the fit turns depth around (scale {scale:.3g}); check the points, or fit a `scale`"
        )
    depth = (result.depth * scale + shift).astype(np.float32)
    said = f"depth times {scale * result.factor:.3f}" + (f" plus {shift:.3f} m" if shift else "")
    count = f"{len(points)} measured point{'s' * (len(points) > 1)}"
    return replace(result, depth=depth, factor=result.factor * float(scale), scale_note=f"{said}, by {count}")


def tabulate(points: Sequence[Point], depth: NDArray[np.float32]) -> list[list[str]]:
    """Return a table of points: predicted depth beside the measured one, and the error, with headings.

    Args:
        points: measured or not.
        depth: (H, W) metres.

    Raises:
        ConfigError: if a point lies outside of the photo.
    """
    rows = [["point", "x", "y", "depth [m]", "measured [m]", "error [m]", "relative"]]
    relative, absolute = [], []
    for number, point in enumerate(points, start=1):
        found = point.depth_in(depth)
        error = found - point.metres
        if math.isfinite(error):
            absolute.append(abs(error))
            relative.append(abs(error) / point.metres)
        shown = [f"{found:.3f}", f"{point.metres:.3f}", f"{error:+.3f}", f"{100 * error / point.metres:+.1f} %"]
        shown = ["" if "nan" in text else text for text in shown]
        rows.append([point.name or str(number), f"{point.x:g}", f"{point.y:g}", *shown])
    if absolute:
        means = [f"{np.mean(absolute):.3f}", f"{100 * np.mean(relative):.1f} %"]
        rows.append([f"mean of {len(absolute)}, absolute", "", "", "", "", *means])
    return rows


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
