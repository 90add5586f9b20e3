"""Which runs were tested on the same frames: only their metrics on a test set can be compared."""

from collections.abc import Mapping, Sequence
from string import ascii_lowercase

from experiments.comparison.run_records import FrameTable, RunRecord

#: What the letters mean.
DIFFERENT_FRAMES = "runs with different letters were tested on different frames of a set: their metrics do not compare"


def frame_labels(runs: Sequence[RunRecord], frames: Mapping[tuple[int, str], FrameTable]) -> dict[tuple[int, str], str]:
    """Return a table's name of each result's test set: with a letter where runs were tested on different frames of it.

    Args:
        runs: compared.
        frames: (position of a run, test set) to per-image metrics; a result without them has no letter.

    Returns:
        (position, test set) of each result to ``nyuv2``, or ``nyuv2 (a: 654 frames)``.
    """
    tested = {key: table.frames for key, table in frames.items()}
    labels = {}
    for number, run in enumerate(runs):
        for result in run.results:
            name = result.dataset
            groups = list(dict.fromkeys(found for (_, other), found in tested.items() if other == name))
            own = tested.get((number, name))
            labels[number, name] = name
            if own is not None and len(groups) > 1:
                letter = ascii_lowercase[min(groups.index(own), len(ascii_lowercase) - 1)]
                labels[number, name] = f"{name} ({letter}: {len(own):,} frames)"
    return labels
