"""iBims-1, for evaluation on a third set."""

from typing import Any

from datamodules.base import DepthDataModule
from datamodules.frames import FrameReader
from datamodules.ibims.ibims_reader import IBimsReader, Layout
from datamodules.splits import Splits


class IBimsDataModule(DepthDataModule):
    """iBims-1: 100 indoor frames with precise depth, occlusion boundaries and planes; all of them test.

    Koch, Liebel, Fraundorfer, Körner, "Evaluation of CNN-based Single-Image Depth Estimation Methods", ECCVW 2018.

    Args:
        root: folder that holds `ibims1_core_mat/` or `ibims1_core_raw/`.
        layout: ``mat``, ``png``, or what is there.
        max_depth: metres; depth above it is invalid.
        kwargs: of :class:`DepthDataModule`.
    """

    data_set = "ibims1"

    def __init__(self, root: str, *, layout: Layout = "auto", max_depth: float = 50.0, **kwargs: Any):
        super().__init__(root, max_depth=max_depth, **kwargs)
        self.layout = layout

    @property
    def options(self) -> dict[str, Any]:
        """Return arguments that shape frames."""
        return {"layout": self.layout, "min_depth": self.min_depth, "max_depth": self.max_depth}

    def open_reader(self) -> FrameReader:
        """Return the frames."""
        return IBimsReader(self.folder, min_depth=self.min_depth, max_depth=self.max_depth, layout=self.layout)

    def read_splits(self, reader: FrameReader) -> Splits:
        """Return a split in which all frames are tested on."""
        return Splits([], [], range(len(reader)))
