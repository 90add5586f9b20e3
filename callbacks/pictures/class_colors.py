"""Names and colours of semantic classes, the same in every picture of the suite."""

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from callbacks.pictures.colors import Picture
from datamodules.classes import NAMES40, NYU40, RGB, UNLABELLED, legend_name


@dataclass(frozen=True)
class ClassColors:
    """What the classes of a data set are called and painted.

    Attributes:
        classes: how many; 40 are NYU40, others go by their numbers.
    """

    classes: int = 40

    def name(self, id_: int) -> str:
        """Of a class id, 1 to ``classes``."""
        return legend_name(NAMES40[id_ - 1]) if self.classes == len(NYU40) else f"class {id_}"

    def color(self, id_: int) -> RGB:
        """Of a class id, 1 to ``classes``; of other sets than NYU40, hues a golden angle apart."""
        if self.classes == len(NYU40):
            return list(NYU40.values())[id_ - 1]
        hue, saturation, value = id_ * 0.618034 % 1, (0.85, 0.5)[id_ % 2], (1.0, 0.85, 0.65)[id_ % 3]
        red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
        return red, green, blue

    def picture(self, ids: NDArray[np.integer]) -> Picture:
        """Colours (H, W, 3) of ids (H, W) in 0..``classes``; 0, unlabelled, is black."""
        table = [UNLABELLED, *(self.color(id_) for id_ in range(1, self.classes + 1))]
        return np.array(table, dtype=np.uint8)[ids]

    def legend(self, *maps: NDArray[np.integer]) -> dict[str, RGB]:
        """Names and colours of the classes in some id maps (H, W), those with most pixels first."""
        counts = np.sum([np.bincount(map_.ravel(), minlength=self.classes + 1) for map_ in maps], axis=0)
        present = [int(id_) for id_ in np.argsort(-counts, kind="stable") if id_ and counts[id_]]
        return {self.name(id_): self.color(id_) for id_ in present}
