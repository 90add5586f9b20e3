"""Names and colours of semantic classes, the same in every picture of the suite."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from callbacks.pictures.colors import Picture, id_color

RGB = tuple[int, int, int]

#: The NYU40 classes in the order of their ids 1..40, in the colours that ScanNet and HyperSim give them.
NYU40: dict[str, RGB] = {
    "wall": (174, 199, 232), "floor": (152, 223, 138), "cabinet": (31, 119, 180), "bed": (255, 187, 120),
    "chair": (188, 189, 34), "sofa": (140, 86, 75), "table": (255, 152, 150), "door": (214, 39, 40),
    "window": (197, 176, 213), "bookshelf": (148, 103, 189), "picture": (196, 156, 148), "counter": (23, 190, 207),
    "blinds": (178, 76, 76), "desk": (247, 182, 210), "shelves": (66, 188, 102), "curtain": (219, 219, 141),
    "dresser": (140, 57, 197), "pillow": (202, 185, 52), "mirror": (51, 176, 203), "floor mat": (200, 54, 131),
    "clothes": (92, 193, 61), "ceiling": (78, 71, 183), "books": (172, 114, 82), "refrigerator": (255, 127, 14),
    "television": (91, 163, 138), "paper": (153, 98, 156), "towel": (140, 153, 101),
    "shower curtain": (158, 218, 229), "box": (100, 125, 154), "whiteboard": (178, 127, 135),
    "person": (120, 185, 128), "night stand": (146, 111, 194), "toilet": (44, 160, 44), "sink": (112, 128, 144),
    "lamp": (96, 207, 209), "bathtub": (227, 119, 194), "bag": (213, 92, 176), "other structure": (94, 106, 211),
    "other furniture": (82, 84, 163), "other prop": (100, 85, 144),
}  # fmt: skip

#: Colour of pixels without a class.
UNLABELLED: RGB = (0, 0, 0)


@dataclass(frozen=True)
class ClassColors:
    """Names and colours of the classes of a data set.

    Attributes:
        classes: number of classes; 40 are NYU40, those of other sets are named by their ids.
    """

    classes: int = 40

    def name(self, id_: int) -> str:
        """Return the name of a class id, 1 to ``classes``."""
        return list(NYU40)[id_ - 1] if self.classes == len(NYU40) else f"class {id_}"

    def color(self, id_: int) -> RGB:
        """Return the colour of a class id, 1 to ``classes``; outside NYU40, hues are a golden angle apart."""
        if self.classes == len(NYU40):
            return list(NYU40.values())[id_ - 1]
        red, green, blue = (round(255 * part) for part in id_color(id_))
        return red, green, blue

    def picture(self, ids: NDArray[np.integer]) -> Picture:
        """Return the colours (H, W, 3) of ids (H, W) in 0..``classes``; 0, unlabelled, is black."""
        table = [UNLABELLED, *(self.color(id_) for id_ in range(1, self.classes + 1))]
        return np.array(table, dtype=np.uint8)[ids]

    def legend(self, *maps: NDArray[np.integer]) -> dict[str, RGB]:
        """Return names and colours of the classes in some id maps (H, W), those with most pixels first."""
        counts = np.sum([np.bincount(map_.ravel(), minlength=self.classes + 1) for map_ in maps], axis=0)
        present = [int(id_) for id_ in np.argsort(-counts, kind="stable") if id_ and counts[id_]]
        return {self.name(id_): self.color(id_) for id_ in present}
