"""What a data set is made of, whatever is trained on it: files, frames, parts, and statistics of the training part."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule

from datamodules.classes import NAMES40, class_names
from datamodules.files import ROOMS_MARKER, printable
from datamodules.frames import FrameReader
from datamodules.pipeline.class_counts import COUNTED_FRAMES, SEMANTIC_MD_ORDER, class_pixels
from datamodules.pipeline.frame_maps import FrameMap
from datamodules.pipeline.prepared import PreparedReader, describe
from datamodules.pipeline.preprocess import FrameStep
from datamodules.splits import Splits, hold_out_scenes, spread
from datamodules.storage.cache import cache_folder, remembered
from datamodules.storage.store import StoreReader

#: Training frames that a statistic is taken of, at most.
STATISTICS_FRAMES = 1500

#: Test frames whose depth is looked at, and the levels of 8 bits.
PROBED_FRAMES, EIGHT_BITS = 8, 256

ClassOrder = Literal["overall", "counted", "semantic_md"]


class FrameSource(LightningDataModule, ABC):
    """Frames with depth and their parts.

    A data set says how its files are read (:meth:`open_reader`) and who is trained on what (:meth:`read_splits`).

    Attributes:
        data_set: what the data set is called.
        variant_name: of the view of its test frames, where it is another than the run's own; else empty.
        root: folder of the files.
        store: folder of a converted store that is read in their place.
        preprocess: steps that every frame goes through.
        frame_maps: maps of whole frames to add.
        val_scenes: share of the training scenes that is held out for validation.
        seed: of the choice of these scenes.
    """

    data_set: str
    variant_name: str = ""
    root: str
    store: str | None
    preprocess: list[FrameStep]
    frame_maps: list[FrameMap]
    val_scenes: float
    seed: int

    @abstractmethod
    def open_reader(self) -> FrameReader:
        """The files, checked."""

    @abstractmethod
    def read_splits(self, reader: FrameReader) -> Splits:
        """Who is trained, validated and tested on what, as positions in the reader, before scenes are held out."""

    def check_training_part(self) -> None:
        """Check that it is known who is trained on.

        Raises:
            FileNotFoundError: if the file that says so is missing.
        """

    @property
    def has_validation_part(self) -> bool:
        """Whether the data set has a validation part of its own, as configured."""
        return False

    @property
    def validates(self) -> bool:
        """Whether there are frames to validate on; told without the files, but for a converted store."""
        return self.val_scenes > 0 or (self.has_validation_part if self.store is None else len(self.splits.val) > 0)

    @property
    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Arguments that shape frames and splits, as plain JSON: those that a converted store must share."""

    @cached_property
    def folder(self) -> Path:
        """Where the files are."""
        return Path(self.root).expanduser()

    @property
    def name(self) -> str:  # type: ignore[override]  # Lightning has an attribute, which it never sets
        """Names the data set in metric keys, run names and tables, its variant too."""
        return "_".join(filter(None, (self.set_name, self.variant_name)))

    @property
    def set_name(self) -> str:
        """Names the data set, whatever the variant."""
        return self.claimed_name

    @property
    def claimed_name(self) -> str:
        """The name before frames are looked at: of the format, or Rooms in this format."""
        if self.store is not None:
            return str(self._stored.index["name"])
        return f"rooms_{self.data_set}" if (self.folder / ROOMS_MARKER).is_file() else self.data_set

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """What must be said beside all figures of these frames: where they say they come from, how coarse depth is."""
        levels = coarse_levels(self.reader, spread(self.splits.test or self.splits.train, PROBED_FRAMES))
        coarse = f"depth of {levels} levels, 8 bits or fewer" if levels else ""
        return tuple(filter(None, (self.reader.provenance, coarse, *self.reader.depth_remarks)))

    @cached_property
    def reader(self) -> FrameReader:
        """The frames, checked and opened on first use."""
        if self.store is not None:
            return self._stored
        reader = self.open_reader()
        if not self.preprocess and not self.frame_maps:
            return reader
        return PreparedReader(reader, self.preprocess, self.frame_maps, cache_folder())

    @cached_property
    def splits(self) -> Splits:
        """Who is trained, validated and tested on what; part of the training scenes held out as configured."""
        splits = self.read_splits(self.reader) if self.store is None else Splits(**self._stored.index["splits"])
        if len(splits.val) or not len(splits.train):
            return splits
        train, val = hold_out_scenes(splits.train, self.reader.scenes, self.val_scenes, self.seed)
        return Splits(train, val, splits.test)

    @cached_property
    def _stored(self) -> StoreReader:
        """The store, if it was made with these options.

        Raises:
            ValueError: if it was made with others, naming them.
        """
        stored = StoreReader(Path(str(self.store)).expanduser())
        mine = json.loads(json.dumps(self.all_options))
        theirs = {**stored.index["options"]}
        theirs["preprocess"] = [step for step in theirs["preprocess"] if not step.startswith("UnitDepth(")]  # retired
        if different := sorted(key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key)):
            key = different[0]
            raise ValueError(
                f"{printable(stored.folder)}: was converted with `{key}` {theirs.get(key)!r}, but `data.init_args` has "
                f"{mine.get(key)!r}; set the same, or convert anew"
            )
        return stored

    @property
    def all_options(self) -> dict[str, Any]:
        """Everything that shapes frames and splits, as plain JSON."""
        return {
            "data_set": self.data_set,
            **self.options,
            "preprocess": [repr(step) for step in self.preprocess],
            "frame_maps": [describe(map_) for map_ in self.frame_maps],
        }

    def train_depth_median(self) -> float:
        """Median of all valid depths of the training frames, at native size, in metres, exact to 1 mm.

        Reads each training frame's depth, of large sets :data:`STATISTICS_FRAMES` evenly spread, once for all runs.

        Raises:
            ValueError: if there are no training frames.
        """
        if not len(self.splits.train):
            raise ValueError(f"{self.name}: has no training frames, hence no median; take another data set to train on")
        chosen = spread(self.splits.train, STATISTICS_FRAMES)
        key = f"median depth\n{self.reader.identity}\n{chosen}"
        return float(remembered(key, lambda: self._depth_median(chosen)))

    def _depth_median(self, positions: Sequence[int]) -> float:
        """Of a histogram in millimetres."""
        counts = np.zeros(0, dtype=np.int64)
        for position in positions:
            depth = self.reader.read_depth(position)
            millimetres = (depth[depth > 0].double() * 1000).round().long().numpy()
            added = np.bincount(millimetres, minlength=len(counts))
            added[: len(counts)] += counts
            counts = added
        cumulative = np.cumsum(counts)
        middle = [(cumulative[-1] - 1) // 2, cumulative[-1] // 2]
        return float(np.searchsorted(cumulative, middle, side="right").mean() / 1000)

    def class_pixels(self, order: ClassOrder = "counted", frames: int | None = COUNTED_FRAMES) -> list[int]:
        """Pixels of each class, id ``i`` at ``i``, counted once for all runs over the frames that an order looks at.

        Args:
            order: ``counted`` over the training frames, else over those of all parts.
            frames: that are counted, at most, evenly spread; None counts all.
        """
        parts = self.splits
        everywhere = sorted({*parts.train, *parts.val, *parts.test})
        return class_pixels(self.reader, parts.train if order == "counted" else everywhere, frames)

    def class_order(self, order: ClassOrder = "counted", frames: int | None = COUNTED_FRAMES) -> list[int]:
        """All ids of `semantics`, the most frequent first, ties and classes that never occur by their ids.

        Args:
            order: ``counted`` over the training frames, ``overall``, over those of all parts, or Semantic-MD's own for
                NYU40.
            frames: that are counted, at most, evenly spread; None counts all.
        """
        if order == "semantic_md":
            return list(SEMANTIC_MD_ORDER)
        counts = self.class_pixels(order, frames)
        ids = range(1, getattr(self, "classes", 40) + 1)
        return sorted(ids, key=lambda id_: -counts[id_] if id_ < len(counts) else 0)

    @property
    def radial(self) -> bool:
        """Whether depth is the distance to the optical centre instead of z."""
        return getattr(self, "depth", "planar") == "distance"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class of `semantics`, that of id ``i`` at ``i - 1``; numbers where they are not NYU40's."""
        return class_names(getattr(self, "classes", len(NAMES40)))


def coarse_levels(reader: FrameReader, positions: Sequence[int]) -> int | None:
    """Number of different depths in some frames where 8 bits hold them; None where they are finer or cannot be read."""
    seen = []
    for position in positions:
        with suppress(OSError, ValueError):  # told where the frame is used
            depth = reader.read_depth(position)[..., ::2, ::2]
            seen.append(depth[depth > 0].unique())
    values = torch.cat(seen).unique() if seen else torch.zeros(0)
    return len(values) if 0 < len(values) <= EIGHT_BITS else None
