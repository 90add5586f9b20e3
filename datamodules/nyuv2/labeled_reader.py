"""Reads ``nyu_depth_v2_labeled.mat`` and ``splits.mat``, or says in one line what is wrong with them."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.declared_size import check_declared, dataset_shape
from datamodules.files import FIX, open_hdf5, printable, unreadable
from datamodules.frames import Frame, FrameReader, clean_depth
from datamodules.nyuv2.labeled_format import ORIGINS, SPLITS_FILE, Border, DepthSource, blacken_border, intrinsics
from datamodules.storage.matlab import load_matlab5

#: Scene of all frames of a file that names none.
UNKNOWN_SCENE = "unknown"

DEPTH_KEYS = {"raw": "rawDepths", "filled": "depths"}
REQUIRED_KEYS = ("images", "depths", "labels")

#: Characters that no name in a file has.
LONGEST_TEXT = 10_000

#: Size of the original file.
LABELED_FILE_BYTES = 2_972_037_809

#: What a labelled file is, and where NYUv2's comes from, in messages.
LABELED_FORM = f"a MATLAB 7.3 (HDF5) file; the original NYUv2 file has {LABELED_FILE_BYTES:,} bytes, this one"
LABELED_ORIGIN = (
    "download it from the NYU Depth Dataset page of its version (V2: 2.97 GB) and put it there (DATA_ROOT is the "
    "folder that holds `nyuv2/`)"
)


class NYUv2Reader(FrameReader):
    """The frames of one labelled file, read one at a time.

    The file is opened on first use in each process, so a reader survives both ``fork`` and pickling. Frame numbers are
    positions among the frames of the same scene, in the order of the file; without the key ``scenes`` all frames count
    as one scene, :data:`UNKNOWN_SCENE`.

    Args:
        path: the labelled file.
        classes: table from the file's class id to the ids wanted, 0 for 0; None leaves labels out.
        depth: ``raw`` reads ``rawDepths`` (measured, with holes), ``filled`` reads ``depths`` (in-painted), ``auto``
            the raw ones where the file has them.
        min_depth: metres; depth below it is invalid.
        max_depth: metres; depth above it is invalid. NYUv2's sensor saturates at exactly 10 m: those pixels are valid
            at ``max_depth=10`` (an evaluation protocol may still leave them out).
        border: what is done with the border of the colour image.

    Attributes:
        provides: keys of the frames' maps: ``depth``, and where they are known ``semantics`` and ``instances``.
        depth_key: ``rawDepths`` or ``depths``.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is damaged, or a key is missing or misshapen.
    """

    def __init__(
        self,
        path: Path,
        classes: NDArray[np.integer[Any]] | None,
        *,
        depth: DepthSource = "auto",
        min_depth: float,
        max_depth: float,
        border: Border = "keep",
    ):
        self.path = path
        self.classes = None if classes is None else classes.astype(np.int64)
        self.min_depth, self.max_depth = min_depth, max_depth
        self.border = border
        self._handle: h5py.File | None = None
        self._process: int | None = None
        with open_labeled(path) as file:
            if depth == "auto":
                depth = "raw" if DEPTH_KEYS["raw"] in file else "filled"
            self.depth_key = DEPTH_KEYS[depth]
            self.size = self._check(file)
            count = len(file["images"])
            self.has_instances = "instances" in file
            self.scenes = tuple(read_cells(file, "scenes") if "scenes" in file else [UNKNOWN_SCENE] * count)
            self.names = tuple(read_cells(file, "names") if "names" in file else ())
            self.provenance = _provenance(file)
            self.depth_remarks = () if DEPTH_KEYS["raw"] in file else ("in-painted depth, no rawDepths",)
        if len(self.scenes) != count:
            raise ValueError(
                f"{printable(path)}: key `scenes` names {len(self.scenes)} scenes, but there are {count} frames; {FIX}"
            )
        known = {"depth": True, "semantics": classes is not None, "instances": self.has_instances}
        self.provides = frozenset(key for key, there in known.items() if there)
        self.frame_numbers = count_within(self.scenes)

    @property
    def identity(self) -> str:
        """Return the file's path, size and time, and the options."""
        state = self.path.stat()
        table = None if self.classes is None else hashlib.sha256(self.classes.tobytes()).hexdigest()
        return (
            f"{self.path.resolve()} {state.st_size} {state.st_mtime_ns} {self.depth_key} {self.min_depth} "
            f"{self.max_depth} {self.border} {table}"
        )

    def source(self, position: int) -> str:
        """Return the file and 0-based frame."""
        return f"{printable(self.path)}: frame {position} (0-based)"

    def _check(self, file: h5py.File) -> tuple[int, int]:
        """Height and width of the frames, if every key that will be read is there and fits."""
        for key in dict.fromkeys((*REQUIRED_KEYS, self.depth_key)):
            if key not in file:
                found = ", ".join(name for name in file if not name.startswith("#"))
                raise ValueError(
                    f"{printable(self.path)}: key `{key}` is missing (found: {found}); "
                    "take the original labelled file, or `depth: filled` if it is `rawDepths`"
                )
        name = printable(self.path)
        kinds = {"images": "u", "depths": "f", self.depth_key: "f", "labels": "iu", "instances": "iu"}
        arrays = {key: file[key] for key in kinds if key in file}
        for key, array in arrays.items():
            dataset_shape(array, f"{name}: key `{key}`", "take the original labelled file")
            if array.dtype.kind not in kinds[key]:
                raise ValueError(f"{name}: key `{key}` is {array.dtype}; take the original labelled file")
        shape = arrays["images"].shape
        if len(shape) != 4 or shape[1] != 3 or arrays["images"].dtype != np.uint8:
            raise ValueError(
                f"{name}: key `images` is {arrays['images'].dtype} {shape}, not uint8 (frames, 3, width, height) as "
                "h5py shows it; take the original labelled file"
            )
        if 0 in shape:
            raise ValueError(f"{name}: key `images` is {shape}, which holds no pixel; take the original labelled file")
        check_declared(shape[1:], f"{name}: key `images`", "take the original labelled file")
        for key, array in arrays.items():
            if key != "images" and array.shape != (shape[0], *shape[2:]):
                raise ValueError(
                    f"{name}: key `{key}` is {array.shape}, which does not fit `images` {shape}; take the original "
                    "labelled file"
                )
        return shape[3], shape[2]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None, "_process": None}

    def read(self, position: int) -> Frame:
        """Return the frame at a 0-based position of the file.

        Raises:
            ValueError: if it cannot be read, holds no valid depth, or a class that is not known.
        """
        image = torch.from_numpy(self._plane("images", position))
        return Frame(
            image=blacken_border(image) if self.border == "black" else image,
            maps={"depth": self.read_depth(position), **self._read_labels(position)},
            intrinsics=torch.from_numpy(intrinsics(*self.size)),
            scene=self.scenes[position],
            frame=self.frame_numbers[position],
            index=position,
        )

    def read_depth(self, position: int) -> Tensor:
        """Return depth (1, H, W) of a frame in metres, 0 where it is missing or out of range.

        Raises:
            ValueError: if that is everywhere, or values are not finite.
        """
        source = f"{printable(self.path)}: key `{self.depth_key}`: frame {position} (0-based)"
        return clean_depth(self._plane(self.depth_key, position), self.min_depth, self.max_depth, source)

    def _read_labels(self, position: int) -> dict[str, Tensor]:
        """Classes and, where the file has them, objects, each (H, W) int64.

        NYUv2 counts instances per class, so an object is a (label, instance) pair: its id is 256 label + instance.
        """
        maps = {}
        labels = self._plane("labels", position)
        if self.classes is not None:
            if labels.min() < 0 or labels.max() >= len(self.classes):
                wrong = labels.max() if labels.max() >= len(self.classes) else labels.min()
                raise ValueError(
                    f"{printable(self.path)}: key `labels`: frame {position} (0-based) has class {wrong}, known are "
                    f"0..{len(self.classes) - 1}; take the original labelled file"
                )
            maps["semantics"] = torch.from_numpy(self.classes[labels])
        if self.has_instances:
            instances = self._plane("instances", position)
            objects = 256 * labels.astype(np.int64) + instances
            objects[(labels == 0) | (instances == 0)] = 0
            maps["instances"] = torch.from_numpy(objects)
        return maps

    def _plane(self, key: str, position: int) -> NDArray[Any]:
        """One frame of a key, its axes put from MATLAB's (..., W, H) to (..., H, W)."""
        if self._handle is None or self._process != os.getpid():
            try:
                self._handle, self._process = h5py.File(self.path), os.getpid()
            except OSError as error:
                raise unreadable(self.path, LABELED_FORM, LABELED_ORIGIN, error) from error
        try:
            plane = self._handle[key][position]
        except (OSError, RuntimeError, KeyError, MemoryError) as error:
            raise ValueError(
                f"{printable(self.path)}: key `{key}`: frame {position} (0-based) is damaged; {FIX}"
            ) from error
        return plane.swapaxes(-1, -2)  # a view: a crop will copy its own part only


@contextmanager
def open_labeled(path: Path) -> Iterator[h5py.File]:
    """Open a labelled file for a moment.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is not HDF5, or cut short.
    """
    with open_hdf5(path, LABELED_FORM, LABELED_ORIGIN) as file:
        yield file


def read_cells(file: h5py.File, key: str) -> list[str]:
    """Return the strings of a MATLAB cell array.

    Raises:
        ValueError: if the key is none.
    """
    try:
        return [_text(file[reference]) for reference in file[key][()].ravel()]
    except Exception as error:  # null arrays, foreign types, numbers that are no characters: each has its own
        raise ValueError(
            f"{printable(file.filename)}: key `{key}` is not a cell array of strings; take the original labelled file"
        ) from error


def _provenance(file: h5py.File) -> str:
    """Where a file says it comes from, in one short line; empty where it does not."""
    try:
        said = file.attrs.get("provenance", "")
    except (OSError, RuntimeError, TypeError, ValueError):  # of a type that h5py does not know
        return ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join(text.split())[:200] if isinstance(text, str) else ""


def _text(cell: h5py.Dataset) -> str:
    """The string of a cell's character codes."""
    if cell.size is None or cell.size > LONGEST_TEXT:
        raise ValueError(f"{cell.size} characters")
    return "".join(map(chr, cell[()].ravel()))


def count_within(names: Iterable[str]) -> list[int]:
    """Return, for each name, how many equal ones come before it."""
    seen: Counter[str] = Counter()
    numbers = []
    for name in names:
        numbers.append(seen[name])
        seen[name] += 1
    return numbers


def read_splits(path: Path, count: int) -> tuple[list[int], list[int]]:
    """Return training and test frames of a splits file, 0-based and in its order.

    Args:
        path: MATLAB file with ``trainNdxs``, which may be empty, and ``testNdxs``, 1-based.
        count: number of frames of the labelled file that it belongs to.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or its indices are not different whole numbers in 1..count.
    """
    content = load_matlab5(path, ORIGINS[SPLITS_FILE])
    train = [] if np.size(content.get("trainNdxs", 0)) == 0 else _read_indices(path, content, "trainNdxs", count)
    test = _read_indices(path, content, "testNdxs", count)
    if shared := sorted(set(train) & set(test)):
        raise ValueError(
            f"{printable(path)}: keys `trainNdxs` and `testNdxs` share {len(shared)} frames, the first is "
            f"{shared[0] + 1} (1-based); no test frame may be trained on: take the official splits"
        )
    return train, test


def _read_indices(path: Path, content: dict[str, Any], key: str, count: int) -> list[int]:
    if key not in content:
        raise ValueError(
            f"{printable(path)}: key `{key}` is missing; take the `splits.mat` that belongs to the labelled file"
        )
    values = np.asarray(content[key]).ravel()
    numeric = values.dtype.kind in "iuf" and values.size > 0
    if not numeric or not np.isfinite(values).all() or (values != np.round(values)).any():
        raise ValueError(
            f"{printable(path)}: key `{key}` must hold whole numbers, 1-based indices of one frame or more; "
            "take the official splits"
        )
    if values.min() < 1 or values.max() > count:
        raise ValueError(
            f"{printable(path)}: key `{key}` holds indices {int(values.min())}..{int(values.max())}, but the labelled "
            f"file has frames 1..{count}; take the `splits.mat` that belongs to it"
        )
    if len(set(values.tolist())) < values.size:
        raise ValueError(f"{printable(path)}: key `{key}` names a frame twice; take the official splits")
    return [int(value) - 1 for value in values]
