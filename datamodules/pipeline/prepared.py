"""A reader's frames after the data set's fixed steps, with the expensive maps taken from a cache."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules.files import written_atomically
from datamodules.frames import Frame, FrameReader, WrappedReader
from datamodules.pipeline.frame_maps import FrameMap
from datamodules.pipeline.preprocess import FrameStep


class PreparedReader(WrappedReader):
    """Another reader's frames, changed by steps and joined with maps of whole frames.

    A map is computed when it is first read, by whichever worker does, and kept in a file that later reads, epochs, runs
    and processes use. Files appear by a rename: an interruption leaves none that is half written. They are found by
    what determines their content, files' sizes and times among it, so changed data or options never meet old files.

    Args:
        reader: the frames.
        steps: applied in order.
        maps: computed after the steps.
        cache: folder for all cached maps.

    Raises:
        ValueError: if a map needs a key that the frames do not have.
    """

    def __init__(self, reader: FrameReader, steps: Sequence[FrameStep], maps: Sequence[FrameMap], cache: Path):
        super().__init__(reader)
        self.steps, self.maps = tuple(steps), tuple(maps)
        added: set[str] = set()
        for step in self.steps:
            self.size = step.resized(self.size)
            added |= step.adds
        for map_ in self.maps:
            if missing := map_.needs - reader.provides - added:
                raise ValueError(
                    f"{type(map_).__name__} needs {', '.join(sorted(missing))}, which the frames do not have: "
                    "add the file it is read from, or leave the map out of `data.init_args.frame_maps`"
                )
            added |= map_.keys
        self.provides = reader.provides | added
        self.folder = cache / "derived" / hashlib.sha256(os.fsencode(self.identity)).hexdigest()[:16]

    @property
    def identity(self) -> str:
        """Return the identity of the frames, the steps and the maps."""
        return "\n".join([self.reader.identity, *map(repr, self.steps), *map(describe, self.maps)])

    def size_of(self, position: int) -> tuple[int, int]:
        """Return height and width of a frame after the steps."""
        size = self.reader.size_of(position)
        for step in self.steps:
            size = step.resized(size)
        return size

    def read_depth(self, position: int) -> Tensor:
        """Return depth after the steps, (1, H, W) float32 metres; without steps only depth is read."""
        return self._stepped(position).maps["depth"] if self.steps else super().read_depth(position)

    def read(self, position: int) -> Frame:
        """Return the frame after the steps, with its cached maps; raises as the wrapped reader does."""
        frame = self._stepped(position)
        return replace(frame, maps={**frame.maps, **self._derived(frame, position)}) if self.maps else frame

    def _stepped(self, position: int) -> Frame:
        frame = self.reader.read(position)
        for step in self.steps:
            frame = step(frame)
        return replace(frame, pixel_map=torch.eye(3)) if self.steps else frame

    def _derived(self, frame: Frame, position: int) -> dict[str, Tensor]:
        path = self.folder / f"{position:06d}.npz"
        try:
            with np.load(path) as file:
                kept = {key: torch.from_numpy(file[key]) for key in file.files}
        except Exception:  # NumPy raises another class for every way in which a file is damaged; it is made again
            kept = {}
        wanted = set().union(*(map_.keys for map_ in self.maps))
        if kept.keys() == wanted and all(map_.shape[-2:] == frame.size for map_ in kept.values()):
            return kept
        maps = {key: value for map_ in self.maps for key, value in map_(frame).items()}
        with written_atomically(path, "set SEGDEPTH_CACHE to a folder that can be written and has space") as file:
            np.savez_compressed(file, **{key: value.numpy() for key, value in maps.items()})  # type: ignore[arg-type]
        return maps


def describe(made: object) -> str:
    """Return class and parameters of an object, of objects in it too, the same in every process."""
    if not hasattr(made, "__dict__") or isinstance(made, type):
        return repr(made)
    parameters = ", ".join(f"{name}={describe(value)}" for name, value in sorted(vars(made).items()))
    return f"{type(made).__name__}({parameters})"
