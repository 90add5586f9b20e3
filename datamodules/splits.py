"""Who is trained, validated and tested on what."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Splits:
    """Frames by use, as positions in the reader.

    Attributes:
        train: frames to learn from.
        val: frames to choose a checkpoint by; may be none.
        test: frames to report.
    """

    train: Sequence[int]
    val: Sequence[int]
    test: Sequence[int]


def hold_out_scenes(
    train: Sequence[int], scenes: Sequence[str], share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Take a share of the training scenes, at least one where the share is positive, out for validation.

    Args:
        train: training frames.
        scenes: scene of every frame of the data set.
        share: of the scenes, in [0, 1).
        seed: of the choice.

    Returns:
        The frames that remain for training, and those for validation, both in their old order.

    Raises:
        ValueError: if the share is out of range, or nothing would remain.
    """
    names = sorted({scenes[index] for index in train})
    count = 0 if share == 0 else max(1, round(share * len(names)))
    if not 0 <= share < 1 or count >= len(names):
        raise ValueError(
            f"`data.init_args.val_scenes` is {share}: of {len(names)} training scenes none is left to train on; "
            "set a share in [0, 1), or 0 to validate on nothing"
        )
    held_out = set(np.random.default_rng(seed).permutation(names)[:count].tolist())
    remaining = [index for index in train if scenes[index] not in held_out]
    return remaining, [index for index in train if scenes[index] in held_out]


def random_split(count: int, seed: int) -> Splits:
    """Return 80 % of the frames to train on, 10 % to validate, 10 % to test, drawn by seed: 1159, 145 and 145 of 1449.

    Guided MTI-Net section 3 prints "80% for testing, 10% validation and 10% testing", an evident slip.
    """
    order = np.random.default_rng(seed).permutation(count).tolist()
    tenth = round(count / 10)
    return Splits(sorted(order[2 * tenth :]), sorted(order[:tenth]), sorted(order[tenth : 2 * tenth]))


def spread(items: Sequence[int], count: int) -> list[int]:
    """Return at most ``count`` of some items, evenly spread from the first to the last."""
    if len(items) <= count:
        return list(items)
    return [items[number] for number in np.linspace(0, len(items) - 1, count).round().astype(int)]
