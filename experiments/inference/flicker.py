"""How much the depth of a video changes where nothing moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.inference.video_motion import Motion


@dataclass(frozen=True)
class Change:
    """Change of depth from one frame to the next: sums over pixels that have depth in both.

    Attributes:
        still: sum of the relative changes of pixels that stand still, and their number.
        followed: the same of all pixels that could be followed, along the flow.
        pixels: of the frame.
    """

    still: tuple[float, int]
    followed: tuple[float, int]
    pixels: int


def measure_change(before: NDArray[np.float32], depth: NDArray[np.float32], motion: Motion) -> Change:
    """Return how much depth changed from one frame to the next.

    The relative change of a pixel is abs(a - b) / ((a + b) / 2) of its depth a in this frame and b in the one before,
    there at the same pixel if it stands still, else where it was.

    Args:
        before: (h, w) metres, on the grid of the motion.
        depth: the same of this frame.
        motion: between the two.
    """
    at_place = _sum(before, depth, motion.still)
    return Change(at_place, _sum(motion.from_before(before), depth, motion.followed), depth.size)


def summarize(changes: Sequence[Change]) -> dict[str, Any]:
    """Return the flicker of a video as plain JSON.

    Returns:
        ``flicker``: mean relative change of depth from frame to frame, of all pixels of all pairs of frames that stand
        still; ``still``: their share. ``change``: the same of all pixels that could be followed, which holds true
        change as well, as where the camera moves nearer; ``followed``: their share. None where there are none.
    """
    pixels = sum(change.pixels for change in changes)
    still, followed = sum_up([change.still for change in changes]), sum_up([change.followed for change in changes])
    return {
        "flicker": still[0] / still[1] if still[1] else None,
        "still": still[1] / pixels if pixels else None,
        "change": followed[0] / followed[1] if followed[1] else None,
        "followed": followed[1] / pixels if pixels else None,
    }


def sum_up(sums: Sequence[tuple[float, int]]) -> tuple[float, int]:
    """Return the sum of relative changes over several pairs of frames, and the number of their pixels."""
    return sum(total for total, _ in sums), sum(count for _, count in sums)


def describe(found: dict[str, Any]) -> str:
    """Return the flicker of a video in words.

    Args:
        found: of :func:`summarize`.
    """
    if found["still"] is None:
        return "no flicker: there is one frame alone"
    followed = ""
    if found["change"] is not None:
        followed = f"; along the flow {100 * found['change']:.2f} % ({100 * found['followed']:.0f} % of the pixels)"
    if found["flicker"] is None:
        return f"no pixel stands still, by which flicker is measured{followed}"
    still = f"where nothing moves ({100 * found['still']:.0f} % of the pixels)"
    return f"flicker {100 * found['flicker']:.2f} %, the mean change of depth from frame to frame {still}{followed}"


def _sum(before: NDArray[np.float32], depth: NDArray[np.float32], where: NDArray[np.bool_]) -> tuple[float, int]:
    """Return the sum of relative changes of pixels that have depth in both, and their number."""
    compared = where & np.isfinite(before) & np.isfinite(depth) & (before > 0) & (depth > 0)
    one, other = before[compared].astype(np.float64), depth[compared].astype(np.float64)
    return float((np.abs(one - other) / ((one + other) / 2)).sum()), int(compared.sum())
