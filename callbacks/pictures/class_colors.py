"""Names and colours of semantic classes, the same in every picture of the suite."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from callbacks.pictures.colors import Picture, id_color
from datamodules.classes import NAMES40, NYU40, RGB, UNLABELLED, legend_name


@dataclass(frozen=True)
class ClassColors:
    """Names and colours of the classes of a data set.

    Attributes:
        classes: number of classes; 40 are NYU40, those of other sets are named by their ids.
    """

    classes: int = 40

    def name(self, id_: int) -> str:
        """Return the name of a class id, 1 to ``classes``."""
        return legend_name(NAMES40[id_ - 1]) if self.classes == len(NYU40) else f"class {id_}"

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
