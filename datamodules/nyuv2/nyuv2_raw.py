"""The raw Kinect video of NYU Depth v2, for retrieval."""

from functools import cached_property
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.rank_zero import rank_zero_info

from datamodules.base import DepthDataModule
from datamodules.files import read_lines
from datamodules.frames import FrameReader
from datamodules.nyuv2.raw_reader import NYUv2RawReader
from datamodules.splits import Splits


class NYUv2RawDataModule(DepthDataModule):
    """Raw video of NYU Depth v2, all of it test: SHED Fig. 5 retrieves among 120K frames of 206 scenes.

    Each depth frame is paired with the colour frame that is nearest in time. Which frames the paper drew is not
    published; scene lists and ``stride`` say which ones a run drew.

    Args:
        root: folder of the scenes' folders, as the raw archives unpack.
        scenes_file: text file with the name of one scene folder a line; a path relative to ``root``. None takes all.
        stride: take every ``stride``-th pair of a scene.
        max_offset: seconds; depth frames without a colour frame that near are left out, and counted.
        register: undistort, and bring depth into the colour camera.
        kwargs: of :class:`DepthDataModule`.
    """

    data_set = "nyuv2_raw"

    def __init__(
        self,
        root: str,
        *,
        scenes_file: str | None = None,
        stride: int = 1,
        max_offset: float = 0.05,
        register: bool = True,
        **kwargs: Any,
    ):
        super().__init__(root, **kwargs)
        self.scenes_file = scenes_file
        self.stride, self.max_offset, self.register = stride, max_offset, register

    @cached_property
    def scenes(self) -> list[str] | None:
        """Return the scenes to read; None for all."""
        if self.scenes_file is None:
            return None
        return read_lines(self.folder / Path(self.scenes_file).expanduser(), "one scene folder a line")

    @property
    def options(self) -> dict[str, Any]:
        """Return arguments that shape frames."""
        names = ("stride", "max_offset", "register", "min_depth", "max_depth")
        return {name: getattr(self, name) for name in names} | {"scenes": self.scenes}

    def open_reader(self) -> FrameReader:
        """Return the pairs of all scenes."""
        reader = NYUv2RawReader(
            self.folder,
            min_depth=self.min_depth,
            max_depth=self.max_depth,
            register=self.register,
            stride=self.stride,
            max_offset=self.max_offset,
            scenes=self.scenes,
        )
        if reader.unmatched:
            rank_zero_info(f"{self.name}: {reader.unmatched} depth frames have no colour frame in {self.max_offset} s")
        return reader

    def read_splits(self, reader: FrameReader) -> Splits:
        """Return a split in which all frames are tested on."""
        return Splits([], [], range(len(reader)))
