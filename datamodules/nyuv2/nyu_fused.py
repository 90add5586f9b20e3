"""The labelled frames of NYU Depth v1 and v2 as one set, for Region Support Network."""

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from numpy.typing import NDArray
from torch import Tensor

from datamodules.base import DepthDataModule
from datamodules.classes import FINE_CLASSES
from datamodules.files import printable, read_table, write_text_atomically
from datamodules.frames import Frame, FrameReader
from datamodules.nyuv2.labeled_format import (
    CLASS_MAPPING_FILE,
    LABELED_FILE,
    V1_FILE,
    DepthSource,
    read_class_mapping,
)
from datamodules.nyuv2.labeled_reader import NYUv2Reader, count_within
from datamodules.splits import Splits
from datamodules.storage.cache import cache_folder

#: Frames that the paper tests on, of all it has: section 4.1, "3264 images for training and 483 for testing".
PAPER_TEST_SHARE = 483 / (3264 + 483)

SPLIT_COLUMNS = ("index", "data_set", "frame", "scene", "part")


class NYUFusedDataModule(DepthDataModule):
    """NYU Depth v1 and v2, labelled frames, scenes of one name merged: Region Support Network section 4.1.

    The paper's list is not published, only its rule: "for scenes with many images, we randomly select several images as
    testing; scenes which only have few images, we directly use as testing images". The split that follows from it here
    is written to a file, which later runs read.

    Args:
        root: folder of NYUv2's files.
        v1_root: folder of `nyu_depth_data_labeled.mat`; None takes `nyuv1` beside ``root``.
        classes: of ``semantics``: NYU40, or the fine ones; names of v1 that v2 does not have are numbered from 895.
        depth: ``filled`` is in-painted, which the paper uses; ``raw`` is measured.
        few_frames: scenes with no more frames are wholly tested on.
        test_share: of all frames.
        split_file: the split; None keeps it in the cache folder, one for each set of frames, seed and rule. It is
            written where it is not there, and read where it is.
        kwargs: of :class:`DepthDataModule`.
    """

    data_set = "nyu_fused"

    def __init__(
        self,
        root: str,
        *,
        v1_root: str | None = None,
        classes: Literal[40, 894] = 894,
        depth: DepthSource = "filled",
        few_frames: int = 1,
        test_share: float = PAPER_TEST_SHARE,
        split_file: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(root, **kwargs)
        if few_frames < 0 or not 0 < test_share < 1:
            raise ValueError(f"need `few_frames` >= 0 and 0 < `test_share` < 1, got {few_frames} and {test_share}")
        self.v1_root = v1_root
        self.classes = classes
        self.depth = depth
        self.few_frames, self.test_share = few_frames, test_share
        self.split_file = split_file

    @property
    def options(self) -> dict[str, Any]:
        """Return arguments that shape frames and splits."""
        names = ("classes", "depth", "few_frames", "test_share", "split_file", "seed", "min_depth", "max_depth")
        return {name: getattr(self, name) for name in names}

    @cached_property
    def v1_folder(self) -> Path:
        """Return the folder of NYU Depth v1."""
        return self.folder.parent / "nyuv1" if self.v1_root is None else Path(self.v1_root).expanduser()

    def open_reader(self) -> FrameReader:
        """Return the frames of v1, then those of v2."""
        v2_names = NYUv2Reader(
            self.folder / LABELED_FILE, None, min_depth=self.min_depth, max_depth=self.max_depth
        ).names
        v1_names = NYUv2Reader(self.v1_folder / V1_FILE, None, min_depth=self.min_depth, max_depth=self.max_depth).names
        v1_table, v2_table = self._tables(v1_names, v2_names)
        options: dict[str, Any] = {"depth": self.depth, "min_depth": self.min_depth, "max_depth": self.max_depth}
        v1 = NYUv2Reader(self.v1_folder / V1_FILE, v1_table, **options)
        v2 = NYUv2Reader(self.folder / LABELED_FILE, v2_table, **options)
        return FusedReader({"nyuv1": v1, "nyuv2": v2})

    def _tables(self, v1_names: Sequence[str], v2_names: Sequence[str]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Class tables of v1 and v2: v1's classes are v2's of the same name."""
        if not v1_names or not v2_names:
            folder = self.folder / LABELED_FILE if v1_names else self.v1_folder / V1_FILE
            raise ValueError(
                f"{printable(folder)}: key `names` is missing, by which classes are matched; fetch it again"
            )
        fine = np.concatenate([[0], match_names(v1_names, v2_names)])
        if self.classes == FINE_CLASSES:
            return fine, np.arange(len(v2_names) + 1)
        nyu40 = read_class_mapping(self.folder / CLASS_MAPPING_FILE)
        return np.where(fine <= FINE_CLASSES, nyu40[np.minimum(fine, FINE_CLASSES)], 0), nyu40

    @cached_property
    def split_path(self) -> Path:
        """Return the split's file."""
        if self.split_file is not None:
            return Path(self.split_file).expanduser()
        frames = hashlib.sha256("\n".join(self.reader.scenes).encode()).hexdigest()[:8]
        name = f"nyu_fused-{frames}-seed{self.seed}-few{self.few_frames}-share{self.test_share:.4f}.csv"
        return cache_folder() / "splits" / name

    def read_splits(self, reader: FrameReader) -> Splits:
        """Return the written split, or a new one, which is then written.

        Raises:
            ValueError: if the written one is damaged, or of other frames.
        """
        frames = [(str(position), scene) for position, scene in enumerate(reader.scenes)]
        if not self.split_path.is_file():
            test = set(split_by_scene(reader.scenes, self.few_frames, self.test_share, self.seed))
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(SPLIT_COLUMNS)
            for position, scene in enumerate(reader.scenes):
                data_set, frame = self._origin(reader, position)
                writer.writerow([position, data_set, frame, scene, "test" if position in test else "train"])
            write_text_atomically(self.split_path, text.getvalue())
            rank_zero_info(f"{self.name}: the split is written to {printable(self.split_path)}")
        header, *rows = read_table(self.split_path, "remove it, and it is made again")
        parts: dict[str, list[int]] = {"train": [], "test": []}
        whole = tuple(header) == SPLIT_COLUMNS and all(len(row) == len(header) and row[-1] in parts for row in rows)
        if not whole or [(row[0], row[3]) for row in rows] != frames:
            raise ValueError(
                f"{printable(self.split_path)}: is damaged, or of other frames than {printable(self.folder)} and "
                f"{printable(self.v1_folder)} hold; set another `split_file`, or remove it"
            )
        for position, row in enumerate(rows):
            parts[row[-1]].append(position)
        return Splits(parts["train"], [], parts["test"])

    @staticmethod
    def _origin(reader: FrameReader, position: int) -> tuple[str, int]:
        inner = getattr(reader, "reader", reader)
        return inner.origin(position) if isinstance(inner, FusedReader) else ("", position)


class FusedReader(FrameReader):
    """The frames of several readers as one set; scenes of one name are one scene.

    Args:
        readers: by name of their set.
    """

    def __init__(self, readers: dict[str, NYUv2Reader]):
        self.readers = readers
        parts = list(readers.values())
        heights, widths = zip(*(part.size for part in parts), strict=True)
        self.size = (min(heights), min(widths))  # what fits into every frame
        self.scenes = tuple(scene for part in parts for scene in part.scenes)
        self.provides = frozenset.intersection(*(part.provides for part in parts))
        self.frame_numbers = count_within(self.scenes)
        self.provenance = ", ".join(dict.fromkeys(part.provenance for part in parts if part.provenance))
        self.depth_remarks = tuple(dict.fromkeys(remark for part in parts for remark in part.depth_remarks))

    @property
    def identity(self) -> str:
        """Return the identities of all readers."""
        return "\n".join(reader.identity for reader in self.readers.values())

    def origin(self, position: int) -> tuple[str, int]:
        """Set that a frame comes from, and its 0-based position there."""
        for name, reader in self.readers.items():
            if position < len(reader):
                return name, position
            position -= len(reader)
        raise IndexError(position)

    def size_of(self, position: int) -> tuple[int, int]:
        """Return height and width of a frame, as its own reader tells them."""
        name, own = self.origin(position)
        return self.readers[name].size_of(own)

    def source(self, position: int) -> str:
        """Return the source that the frame's own reader names."""
        name, own = self.origin(position)
        return self.readers[name].source(own)

    def read_depth(self, position: int) -> Tensor:
        """Read depth alone by the frame's own reader."""
        name, own = self.origin(position)
        return self.readers[name].read_depth(own)

    def read(self, position: int) -> Frame:
        """Return the frame, numbered in the fused set; maps that only some of the sets have are left out."""
        name, own = self.origin(position)
        frame = self.readers[name].read(own)
        maps = {key: value for key, value in frame.maps.items() if key in self.provides}
        return replace(frame, maps=maps, frame=self.frame_numbers[position], index=position)


def match_names(names: Sequence[str], reference: Sequence[str]) -> list[int]:
    """Return the 1-based number of each name in a reference list; other names are numbered on from its end."""
    numbers = {name: number for number, name in enumerate(reference, start=1)}
    unknown = (name for name in dict.fromkeys(names) if name not in numbers)
    numbers |= {name: number for number, name in enumerate(unknown, start=len(reference) + 1)}
    return [numbers[name] for name in names]


def split_by_scene(scenes: Sequence[str], few_frames: int, test_share: float, seed: int) -> list[int]:
    """Return the test frames of a set by Region Support Network's rule, section 4.1.

    Of ``test_share`` of all frames, those of scenes with at most ``few_frames`` come first, whole scenes in random
    order while they fit; the rest is drawn from the richer scenes, in proportion to their frames (largest remainders),
    at random within each, and never all frames of a scene.

    Returns:
        Sorted positions.
    """
    rng = np.random.default_rng(seed)
    _, inverse, counts = np.unique(np.asarray(scenes), return_inverse=True, return_counts=True)
    budget = round(test_share * len(scenes))
    test: list[int] = []
    for scene in rng.permutation(np.flatnonzero(counts <= few_frames)):
        if len(test) + counts[scene] <= budget:
            test += np.flatnonzero(inverse == scene).tolist()
    rich = np.flatnonzero(counts > few_frames)
    remaining = min(budget - len(test), int((counts[rich] - 1).sum()))
    quota = remaining * counts[rich] / max(1, counts[rich].sum())
    drawn = np.minimum(np.floor(quota).astype(int), counts[rich] - 1)
    order = np.argsort(-(quota - np.floor(quota)), kind="stable")
    while drawn.sum() < remaining:
        for scene in order:
            if drawn.sum() < remaining and drawn[scene] < counts[rich][scene] - 1:
                drawn[scene] += 1
    for scene, number in zip(rich, drawn, strict=True):
        test += rng.permutation(np.flatnonzero(inverse == scene))[:number].tolist()
    return sorted(test)
