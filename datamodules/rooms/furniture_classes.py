"""The classes that Rooms' furniture has, by their numbers in NYU Depth v2."""

import numpy as np
from numpy.typing import NDArray

from datamodules.nyuv2.labeled_format import FINE_CLASSES

#: Name: NYUv2's fine id (1..894), NYU40 id.
CLASSES: dict[str, tuple[int, int]] = {
    "bag": (55, 37),
    "basket": (39, 40),
    "bathtub": (136, 36),
    "bed": (157, 4),
    "blanket": (312, 40),
    "blinds": (80, 13),
    "book": (1, 40),
    "books": (85, 23),
    "bookshelf": (88, 10),
    "bottle": (2, 40),
    "bowl": (22, 40),
    "box": (26, 29),
    "cabinet": (3, 3),
    "ceiling": (4, 22),
    "chair": (5, 5),
    "clock": (56, 40),
    "clothes": (141, 21),
    "coffee table": (356, 39),
    "counter": (7, 12),
    "cup": (35, 40),
    "curtain": (89, 16),
    "curtain rod": (582, 38),
    "desk": (36, 14),
    "door": (28, 8),
    "door frame": (615, 38),
    "dresser": (169, 17),
    "floor": (11, 2),
    "floor mat": (143, 20),
    "flower pot": (146, 40),
    "garbage bin": (12, 39),
    "keyboard": (47, 40),
    "lamp": (144, 35),
    "light": (62, 38),
    "microwave": (13, 40),
    "mirror": (122, 19),
    "monitor": (49, 40),
    "night stand": (158, 32),
    "ottoman": (359, 39),
    "paper": (15, 26),
    "picture": (64, 11),
    "pillow": (119, 18),
    "plant": (82, 40),
    "pot": (16, 40),
    "radiator": (236, 39),
    "range hood": (380, 38),
    "refridgerator": (17, 24),
    "shelves": (42, 15),
    "shower curtain": (123, 28),
    "sink": (24, 34),
    "sofa": (83, 6),
    "speaker": (54, 40),
    "stool": (150, 40),
    "stove": (242, 38),
    "table": (19, 7),
    "television": (172, 25),
    "toilet": (124, 33),
    "towel": (135, 27),
    "tv stand": (291, 39),
    "vase": (78, 40),
    "wall": (21, 1),
    "whiteboard": (45, 30),
    "window": (59, 9),
    "window frame": (477, 38),
}


def rooms_names() -> list[str]:
    """A labelled file's key ``names``, fine id ``i`` at ``i - 1``; ``unused i`` where Rooms has no such thing."""
    names = [f"unused {number}" for number in range(1, FINE_CLASSES + 1)]
    for name, (number, _) in CLASSES.items():
        names[number - 1] = name
    return names


def rooms_nyu40() -> NDArray[np.uint8]:
    """Table (895,) from fine id to NYU40 id; 40, otherprop, where Rooms has no such thing, and 0 for 0, unlabelled."""
    table = np.full(FINE_CLASSES + 1, 40, dtype=np.uint8)
    table[0] = 0
    for number, nyu40 in CLASSES.values():
        table[number] = nyu40
    return table
