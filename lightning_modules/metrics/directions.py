"""Which way each figure of the suite is better, so that best values, tables and pages agree on it."""

import re
from functools import cache
from typing import Literal

Direction = Literal["min", "max"]

#: Patterns that a whole name must match; the first decides.
DIRECTIONS: tuple[tuple[str, Direction | None], ...] = (
    (r".*(excluded|nonfinite|skipped).*", None),  # counts of what was left out
    (r"chamfer3d_(precision|recall)", "min"),  # distances in metres, in spite of their names
    (r"(object_|baseline_)?delta.*", "max"),
    (r"image_class_map", "max"),
    (r".*(precision|recall|f1|fscore|accuracy|miou|ods|ois|explained_variance)(@?\d+|_.*)?", "max"),
    (r"(object_|baseline_)?(abs_rel|sq_rel|mae|rmse|rmse_log|rmse_log10|log10|silog|gradient)", "min"),
    (r"region_(rmse|error_variance|support_rmse|variance)", "min"),
    (r"(boundary_(acc|comp)|chamfer.*|planarity_.*|.*_error)", "min"),
    (r"loss.*|.*_loss", "min"),
)


@cache
def better(name: str) -> Direction | None:
    """Whether a figure is better lower or higher; None for counts, and for what is neither.

    Args:
        name: of the figure, with or without stage and data set: ``abs_rel``, ``val/abs_rel``, ``test/nyuv2/delta1``.
    """
    figure = name.rsplit("/", 1)[-1]
    return next((direction for pattern, direction in DIRECTIONS if re.fullmatch(pattern, figure)), None)
