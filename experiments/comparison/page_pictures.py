"""Pictures that the page carries within itself, as far as its budget goes."""

import base64
import math
from collections.abc import Mapping, Sequence

from experiments.comparison.run_records import FrameTable, RunRecord

Key = tuple[int, str]


def embedded_pictures(
    runs: Sequence[RunRecord], frames: Mapping[Key, FrameTable], budget: float
) -> dict[Key, dict[int, str]]:
    """Return JPEG pictures in base64: (position of a run, test set) to index to picture.

    A frame is taken for all runs that have it, so that it can be compared, and the frames with the largest mean error
    first; the other pictures are linked to where they lie.

    Args:
        runs: in the order in which the page knows them.
        frames: per-image metrics, by which frames are ordered.
        budget: bytes of base64.
    """
    having: dict[tuple[str, int], list[int]] = {}
    for number, run in enumerate(runs):
        for dataset, indices in run.thumbnails().items():
            for index in indices:
                having.setdefault((dataset, index), []).append(number)
    errors: dict[tuple[str, int], list[float]] = {}
    for (_, dataset), table in frames.items():
        for (index, _, _), error in zip(table.frames, table.metrics.get("abs_rel", ()), strict=False):
            if math.isfinite(error):
                errors.setdefault((dataset, index), []).append(error)
    means = {frame: sum(values) / len(values) for frame, values in errors.items()}
    taken: dict[Key, dict[int, str]] = {}
    for dataset, index in sorted(having, key=lambda frame: (-means.get(frame, 0.0), frame)):
        paths = {number: runs[number].thumbnail(dataset, index) for number in having[dataset, index]}
        size = sum(4 * math.ceil(path.stat().st_size / 3) for path in paths.values())
        if size > budget:
            break
        budget -= size
        for number, path in paths.items():
            picture = base64.b64encode(path.read_bytes()).decode("ascii")
            taken.setdefault((number, dataset), {})[index] = picture
    return taken
