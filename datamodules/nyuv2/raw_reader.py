"""Reads the raw Kinect video of NYU Depth v2: 464 scenes, each a folder of colour and depth files named by time."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.files import printable
from datamodules.frames import Frame, FrameReader, clean_depth
from datamodules.nyuv2.kinect import (
    DEPTH_MATRIX,
    depth_of_codes,
    read_codes,
    read_color,
    register_depth,
    undistort_color,
)
from datamodules.nyuv2.labeled_format import HEIGHT, WIDTH, intrinsics
from datamodules.storage.file_state import file_states

#: ``d-<seconds>-<tick>.pgm`` and ``r-<seconds>-<tick>.ppm``; the group is the seconds, a decimal number.
_NAME = re.compile(r"[dr]-(\d+(?:\.\d+)?)-\d+")

ORIGIN = "download raw scenes from the NYU Depth Dataset V2 page and unpack each into a folder of its name there"


class NYUv2RawReader(FrameReader):
    """Pairs of colour and depth frames of the raw video, nearest in time.

    Args:
        root: folder that holds the scenes' folders, or folders of them.
        min_depth: metres; depth below it is invalid.
        max_depth: metres; depth above it is invalid.
        register: undistort both images and bring depth into the RGB camera
            (:func:`~datamodules.nyuv2.kinect.register_depth`). Else the two cameras' frames as they lie, with the depth
            camera's intrinsics.
        stride: take every ``stride``-th pair of a scene.
        max_offset: seconds; depth frames without a colour frame that near are left out.
        scenes: names of the folders to read; all if None.

    Attributes:
        frame_numbers: of every frame, its position among all pairs of its scene.
        unmatched: number of depth frames without a colour frame of their own.

    Raises:
        FileNotFoundError: if there is no scene, or one of ``scenes`` is missing.
        ValueError: if ``stride`` or ``max_offset`` make no sense, two scenes have one name, a file's name has no time,
            or no pair is found.
    """

    provides = frozenset({"depth"})
    size = (HEIGHT, WIDTH)

    def __init__(
        self,
        root: Path,
        *,
        min_depth: float,
        max_depth: float,
        register: bool = True,
        stride: int = 1,
        max_offset: float = 0.05,
        scenes: Sequence[str] | None = None,
    ):
        if stride < 1 or not max_offset >= 0:
            raise ValueError(f"`stride` must be at least 1 and `max_offset` 0 or more, not {stride} and {max_offset}")
        self.root = root
        self.min_depth, self.max_depth = min_depth, max_depth
        self.register = register
        self.unmatched = 0
        self._pairs: list[tuple[Path, Path]] = []
        self.scenes: list[str] = []
        self.frame_numbers: list[int] = []
        for scene, depth_files in _find_scenes(root, scenes).items():
            pairs = self._pair(depth_files, max_offset)
            numbers = range(0, len(pairs), stride)
            self._pairs += pairs[::stride]
            self.scenes += [scene] * len(numbers)
            self.frame_numbers += numbers
        if not self._pairs:
            raise ValueError(
                f"{printable(root)}: no depth frame has a colour frame within {max_offset:g} s ({self.unmatched} have "
                "none); unpack the `r-*.ppm` files beside the `d-*.pgm` files, or raise `max_offset`"
            )

    def _pair(self, depth_files: list[Path], max_offset: float) -> list[tuple[Path, Path]]:
        """Depth and colour files of one scene that belong together, in the order of time."""
        depth_times, depth_files = _by_time(depth_files)
        color_times, color_files = _by_time(list(depth_files[0].parent.glob("r-*.ppm")))
        depth, color = synchronise(depth_times, color_times, max_offset)
        self.unmatched += len(depth_files) - len(depth)
        return [(depth_files[d], color_files[c]) for d, c in zip(depth, color, strict=True)]

    def read(self, position: int) -> Frame:
        """Return the frame at a 0-based position.

        Raises:
            FileNotFoundError: if one of its files is missing.
            ValueError: if one of its files is damaged, or holds no valid depth.
        """
        depth_file, color_file = self._pairs[position]
        image, codes = read_color(color_file), read_codes(depth_file)
        if self.register:
            image, depth, matrix = undistort_color(image), register_depth(codes), intrinsics()
        else:
            depth, matrix = depth_of_codes(codes), DEPTH_MATRIX.astype(np.float32)
        return Frame(
            image=torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            maps={"depth": clean_depth(depth, self.min_depth, self.max_depth, printable(depth_file))},
            intrinsics=torch.from_numpy(matrix),
            scene=self.scenes[position],
            frame=self.frame_numbers[position],
            index=position,
        )

    def source(self, position: int) -> str:
        """Return the frame's two files, depth first."""
        depth_file, color_file = self._pairs[position]
        return f"{printable(depth_file)} and {printable(color_file.name)}"

    @cached_property
    def identity(self) -> str:
        """Return digests of the names of the files, among which options only choose, and of their sizes and times."""
        names = "\n".join(str(file.relative_to(self.root)) for pair in self._pairs for file in pair)
        digest = hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        options = f"register={self.register} min_depth={self.min_depth} max_depth={self.max_depth}"
        states = file_states(file for pair in self._pairs for file in pair)
        return f"nyuv2_raw {self.root.resolve()} files={digest} {states} {options}"


def synchronise(
    depth_times: NDArray[np.float64], color_times: NDArray[np.float64], max_offset: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of depth and colour frames that are nearest in time.

    Every depth frame asks for the colour frame nearest to it (the earlier of two as near); a colour frame goes to the
    nearest depth frame that asks for it (the earlier of two as near), and the others stay without.

    Args:
        depth_times: (D,) seconds, ascending.
        color_times: (C,) seconds, ascending.
        max_offset: seconds; frames farther apart are no pair.

    Returns:
        Positions (P,) of the pairs' depth frames, ascending, and positions (P,) of their colour frames.
    """
    if not len(color_times):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    after = np.searchsorted(color_times, depth_times).clip(0, len(color_times) - 1)
    before = (after - 1).clip(0)
    is_before = np.abs(depth_times - color_times[before]) <= np.abs(depth_times - color_times[after])
    nearest = np.where(is_before, before, after)
    offsets = np.abs(depth_times - color_times[nearest])

    by_offset = np.argsort(offsets, kind="stable")
    _, first = np.unique(nearest[by_offset], return_index=True)
    served = np.sort(by_offset[first])
    served = served[offsets[served] <= max_offset]
    return served, nearest[served]


def _find_scenes(root: Path, wanted: Sequence[str] | None) -> dict[str, list[Path]]:
    """The depth files of every scene, scenes sorted by name."""
    folders: defaultdict[str, dict[Path, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for pattern in ("*/d-*.pgm", "*/*/d-*.pgm"):
        for file in root.glob(pattern):
            folders[printable(file.parent.name)][file.parent].append(file)
    if not folders:
        raise FileNotFoundError(f"{printable(root)}: no scene's folder with `d-*.pgm` files is there: {ORIGIN}")
    if missing := sorted(set(wanted or ()) - folders.keys()):
        raise FileNotFoundError(f"{printable(root)}: scene {missing[0]} is missing: {ORIGIN}")
    scenes = {}
    for scene in sorted(folders if wanted is None else set(wanted)):
        if len(folders[scene]) > 1:
            both = " and ".join(printable(folder) for folder in sorted(folders[scene])[:2])
            raise ValueError(f"{both} are both named {scene}, but a scene has one folder; remove or rename one")
        (scenes[scene],) = folders[scene].values()
    return scenes


def _by_time(files: list[Path]) -> tuple[NDArray[np.float64], list[Path]]:
    """The times in the files' names, seconds, ascending, and the files in that order."""
    times = np.zeros(len(files))
    for position, file in enumerate(files):
        name = _NAME.fullmatch(file.stem)
        if name is None:
            raise ValueError(
                f"{printable(file)}: its name is not `d-` or `r-`, seconds, `-`, tick; remove or rename it"
            )
        times[position] = float(name[1])
    order = sorted(range(len(files)), key=lambda position: (times[position], files[position].name))
    return times[order], [files[position] for position in order]
