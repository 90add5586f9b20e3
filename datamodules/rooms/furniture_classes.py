"""The classes of Rooms' furniture, as the files of NYU Depth v2 list them."""

import numpy as np
from numpy.typing import NDArray

from datamodules.classes import FINE_CLASSES, FURNITURE


def rooms_names() -> list[str]:
    """Return a labelled file's ``names``, fine id ``i`` at ``i - 1``; ``unused i`` where Rooms has no such thing."""
    names = [f"unused {number}" for number in range(1, FINE_CLASSES + 1)]
    for name, (number, _) in FURNITURE.items():
        names[number - 1] = name
    return names


def rooms_nyu40() -> NDArray[np.uint8]:
    """Return the table (895,) from fine id to NYU40 id; 40 (otherprop) where Rooms has no such thing, and 0 for 0."""
    table = np.full(FINE_CLASSES + 1, 40, dtype=np.uint8)
    table[0] = 0
    for number, nyu40 in FURNITURE.values():
        table[number] = nyu40
    return table
