"""NYUv2 as trees of PNG and JPEG files with list files: BTS / NeWCRFs / AdaBins, and Marigold."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from datamodules.files import (
    number_lines,
    path_named,
    printable,
    read_first,
    require_files,
)
from datamodules.frames import Frame, FrameReader, clean_depth
from datamodules.nyuv2.labeled_format import Border, DepthSource, blacken_border, intrinsics
from datamodules.storage.file_state import file_states
from datamodules.storage.images import read_depth_png, read_rgb
from datamodules.storage.map_sizes import known_size

#: Where lists are looked for, below a data set's folder: beside the data, and as the repositories keep them.
LIST_FOLDERS = ("", "train_test_inputs", "data_splits", "filenames")

BTS_LISTS = {"train": "nyudepthv2_train_files_with_gt.txt", "test": "nyudepthv2_test_files_with_gt.txt"}
BTS_FOLDERS = {"train": ("sync", ""), "test": ("official_splits/test", "test", "")}
BTS_ORIGIN = "it comes with BTS (train_test_inputs/), NeWCRFs (data_splits/) and AdaBins; put it beside the images"

MARIGOLD_LISTS = {"train": "filename_list_train.txt", "test": "filename_list_test.txt"}
MARIGOLD_ORIGIN = "it comes with Marigold (data_split/nyu_depth/labeled/); put it beside the images"


#: A name ends with what images end with; ``None`` and numbers stand for themselves.
_NAMES = re.compile(r"\S.*?\.(?:jpe?g|png|tiff?|bmp)(?!\S)|\S+", re.IGNORECASE)


@dataclass(frozen=True)
class TreeFrame:
    """One frame of a tree.

    Attributes:
        image: colour file.
        depth: 16-bit depth file, millimetres.
        scene: name of its scene.
        frame: its number in the scene.
        index: its number in the data set, 0-based: among the 1449 labelled frames for test frames, else in the list.
    """

    image: Path
    depth: Path
    scene: str
    frame: int
    index: int


def find_list(root: Path, names: Sequence[str], origin: str) -> Path:
    """Return the first of some list files that lies in a data set's folder, or where repositories keep it below.

    Raises:
        FileNotFoundError: if none does, saying where it comes from.
    """
    for name in names:
        for folder in LIST_FOLDERS:
            if (path := root / folder / name).exists():
                return path
    raise FileNotFoundError(f"{printable(root / names[0])} is missing: {origin}")


def split_names(line: str) -> list[str]:
    """Return names of images in a line, which may hold blanks, and what stands behind or between them."""
    return _NAMES.findall(line) or [line]


def read_bts(root: Path, part: str, list_file: str | None = None) -> list[TreeFrame]:
    """Return frames of one part of a BTS tree, in the order of its list.

    A line holds colour file, depth file (``None`` where there is none: the line is left out) and focal length. Training
    files lie in a folder per scene; test files lie in a folder per scene type, which then stands for the scene, and
    carry the 0-based index into the labelled frames.

    Raises:
        FileNotFoundError: if the list is missing, saying where it comes from.
        ValueError: if a line is not of that form, or the list is empty.
    """
    path = find_list(root, [list_file or BTS_LISTS[part]], BTS_ORIGIN)
    frames: list[TreeFrame] = []
    lines = [(number, split_names(line)) for number, line in number_lines(path, BTS_ORIGIN)]
    first = lines[0][1][0]
    folder = next((root / name for name in BTS_FOLDERS[part] if path_named(root / name, first).is_file()), root)
    for number, words in lines:
        match = re.search(r"(\d+)\.\w+$", words[0])
        if len(words) < 2 or match is None:
            raise ValueError(f"{printable(path)}: line {number} is not `colour.jpg depth.png focal`; {BTS_ORIGIN}")
        if words[1] == "None":
            continue
        image, depth = (path_named(folder, word) for word in words[:2])
        frame = int(match[1])
        frames.append(TreeFrame(image, depth, image.parent.name, frame, frame if part == "test" else len(frames)))
    if not frames:
        raise ValueError(f"{printable(path)}: names no frame with depth; {BTS_ORIGIN}")
    return frames


def read_marigold(root: Path, part: str, depth: DepthSource = "auto", list_file: str | None = None) -> list[TreeFrame]:
    """Return frames of one part of Marigold's tree, in the order of its list.

    A line holds colour, measured depth and in-painted depth; file names carry the 1-based index into the labelled
    frames.

    Raises:
        FileNotFoundError: if the list is missing, saying where it comes from.
        ValueError: if a line is not of that form, or the list is empty.
    """
    path = find_list(root, [list_file or MARIGOLD_LISTS[part]], MARIGOLD_ORIGIN)
    frames = []
    for number, line in number_lines(path, MARIGOLD_ORIGIN):
        words = split_names(line)
        match = re.search(r"rgb_(\d+)\.\w+$", words[0])
        if len(words) != 3 or match is None:
            raise ValueError(
                f"{printable(path)}: line {number} is not `rgb.png depth.png filled.png`; {MARIGOLD_ORIGIN}"
            )
        image = path_named(root, words[0])
        index = int(match[1]) - 1
        truth = path_named(root, words[2 if depth == "filled" else 1])
        frames.append(TreeFrame(image, truth, image.parent.name, index, index))
    return frames


class TreeReader(FrameReader):
    """Frames of a tree: colour, and depth as 16-bit PNG in millimetres.

    Args:
        frames: what to read.
        min_depth: metres; depth below it is invalid.
        max_depth: metres; depth above it is invalid.
        border: what is done with the border of the colour image.

    Raises:
        ValueError: if every image is damaged.
    """

    provides = frozenset({"depth"})

    def __init__(self, frames: Sequence[TreeFrame], *, min_depth: float, max_depth: float, border: Border = "keep"):
        self.frames = tuple(frames)
        self.scenes = tuple(frame.scene for frame in frames)
        self.frame_numbers = tuple(frame.frame for frame in frames)
        self.min_depth, self.max_depth = min_depth, max_depth
        self.border = border
        height, width = read_first(lambda frame: read_rgb(frame.image), self.frames).shape[1:]
        self.size = (height, width)

    @property
    def indices(self) -> Sequence[int]:
        """Return the number of every frame in its data set."""
        return [frame.index for frame in self.frames]

    @cached_property
    def identity(self) -> str:
        """Return the files' names, sizes and times, and the options."""
        names = "\n".join(f"{frame.image.resolve()} {frame.depth}" for frame in self.frames)
        states = file_states(file for frame in self.frames for file in (frame.image, frame.depth))
        return f"{hashlib.sha256(names.encode('utf-8', 'surrogateescape')).hexdigest()} {states} {self.min_depth} " + (
            f"{self.max_depth} {self.border}"
        )

    def check_files(self, positions: Iterable[int]) -> None:
        """Check that the colour and depth files of some frames exist; raises as the base class says."""
        frames = (self.frames[position] for position in positions)
        require_files(file for frame in frames for file in (frame.image, frame.depth))

    def size_of(self, position: int) -> tuple[int, int]:
        """Return height and width of a frame, from the head of its colour file."""
        return known_size(self.frames[position].image) or self.size

    def name_of(self, position: int) -> str:
        """Return the scene and the name of the colour file."""
        frame = self.frames[position]
        return f"{frame.scene}/{frame.image.stem}"

    def source(self, position: int) -> str:
        """Return the colour file."""
        return printable(self.frames[position].image)

    def read(self, position: int) -> Frame:
        """Return the frame at a position.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if one is damaged, or they do not fit.
        """
        frame = self.frames[position]
        image, depth = read_rgb(frame.image), self.read_depth(position)
        (height, width), depth_size = image.shape[1:], depth.shape[1:]
        if depth_size != (height, width):
            raise ValueError(
                f"{printable(frame.depth)}: is {depth_size[0]}x{depth_size[1]} pixels, its image "
                f"{printable(frame.image)} {height}x{width}; take the two that belong together"
            )
        return Frame(
            image=blacken_border(image) if self.border == "black" else image,
            maps={"depth": depth},
            intrinsics=torch.from_numpy(intrinsics(height, width)),  # of the frame at whatever size it was brought to
            scene=frame.scene,
            frame=frame.frame,
            index=frame.index,
        )

    def read_depth(self, position: int) -> Tensor:
        """Return depth (1, H, W) in metres; raises as :meth:`read` does."""
        path = self.frames[position].depth
        return clean_depth(read_depth_png(path), self.min_depth, self.max_depth, printable(path))
