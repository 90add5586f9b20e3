"""Reads ``nyu_depth_v2_labeled.mat`` and ``splits.mat``, or says in one line what is wrong with them."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.frames import Frame
from datamodules.nyuv2_format import intrinsics, load_matlab5

DepthSource = Literal["auto", "raw", "filled"]

DEPTH_KEYS = {"raw": "rawDepths", "filled": "depths"}
REQUIRED_KEYS = ("images", "depths", "labels")

#: Size of the original file.
LABELED_FILE_BYTES = 2_972_037_809


class NYUv2Reader:
    """The frames of one labelled file, read one at a time.

    The file is opened on first use in each process, so a reader survives both ``fork`` and pickling. Frame numbers are
    positions among the frames of the same scene, in the order of the file; without the key ``scenes`` all frames count
    as one scene, ``unknown``.

    Args:
        path: the labelled file.
        nyu40: table (895,) from fine class id to NYU40 id.
        depth: ``raw`` reads ``rawDepths`` (measured, with holes), ``filled`` reads ``depths`` (in-painted), ``auto``
            the raw ones where the file has them.
        min_depth: metres; depth below it is invalid.
        max_depth: metres; depth above it is invalid. NYUv2's sensor saturates at exactly 10 m: those pixels are valid
            at ``max_depth=10`` (an evaluation protocol may still leave them out).

    Attributes:
        provides: keys of the frames' maps: ``depth``, ``semantics`` and, where the file has them, ``instances``.
        size: height and width of every frame.
        scenes: scene of every frame.
        depth_key: ``rawDepths`` or ``depths``.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is damaged, or a key is missing or misshapen.
    """

    def __init__(
        self, path: Path, nyu40: NDArray[np.uint8], *, depth: DepthSource = "auto", min_depth: float, max_depth: float
    ):
        self.path = path
        self.nyu40 = nyu40
        self.min_depth, self.max_depth = min_depth, max_depth
        self._handle: h5py.File | None = None
        self._process: int | None = None
        with open_labeled(path) as file:
            if depth == "auto":
                depth = "raw" if DEPTH_KEYS["raw"] in file else "filled"
            self.depth_key = DEPTH_KEYS[depth]
            self.size = self._check(file)
            count = len(file["images"])
            self.has_instances = "instances" in file
            self.scenes = tuple(read_cells(file, "scenes") if "scenes" in file else ["unknown"] * count)
        if len(self.scenes) != count:
            raise ValueError(f"{path}: key `scenes` names {len(self.scenes)} scenes, but there are {count} frames")
        self.provides = frozenset({"depth", "semantics"} | ({"instances"} if self.has_instances else set()))
        self.frame_numbers = count_within(self.scenes)

    def _check(self, file: h5py.File) -> tuple[int, int]:
        """Height and width of the frames, if every key that will be read is there and fits."""
        for key in dict.fromkeys((*REQUIRED_KEYS, self.depth_key)):
            if key not in file:
                found = ", ".join(name for name in file if not name.startswith("#"))
                raise ValueError(
                    f"{self.path}: key `{key}` is missing (found: {found}); "
                    "take the original labelled file, or `depth: filled` if it is `rawDepths`"
                )
        shape = file["images"].shape
        if len(shape) != 4 or shape[1] != 3:
            raise ValueError(f"{self.path}: key `images` is {shape}, not (frames, 3, width, height) as h5py shows it")
        for key in dict.fromkeys((*REQUIRED_KEYS[1:], self.depth_key, "instances")):
            if key in file and file[key].shape != (shape[0], *shape[2:]):
                raise ValueError(f"{self.path}: key `{key}` is {file[key].shape}, which does not fit `images` {shape}")
        return shape[3], shape[2]

    def __len__(self) -> int:
        return len(self.scenes)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None, "_process": None}

    def read(self, index: int) -> Frame:
        """The frame at a 0-based index.

        Raises:
            ValueError: if it cannot be read, or holds no valid depth, or an unknown class.
        """
        maps = {"depth": self.read_depth(index), **self._read_labels(index)}
        return Frame(
            image=torch.from_numpy(self._plane("images", index)),
            maps=maps,
            intrinsics=torch.from_numpy(intrinsics(*self.size)),
            scene=self.scenes[index],
            frame=self.frame_numbers[index],
            index=index,
        )

    def read_depth(self, index: int) -> Tensor:
        """Depth (1, H, W) of a frame in metres, 0 where it is missing, not finite or out of range.

        Raises:
            ValueError: if that is everywhere.
        """
        depth = torch.from_numpy(self._plane(self.depth_key, index)).float()
        valid = depth.isfinite() & (depth >= self.min_depth) & (depth <= self.max_depth)
        if not valid.any():
            raise ValueError(
                f"{self.path}: key `{self.depth_key}`: frame {index} (0-based) has no depth in "
                f"{self.min_depth:g}..{self.max_depth:g} m; take it out of the splits file, "
                "or change `depth`, `min_depth` or `max_depth`"
            )
        return depth.where(valid, 0)[None]

    def _read_labels(self, index: int) -> dict[str, Tensor]:
        """NYU40 classes and, where the file has them, objects, each (H, W) int64.

        NYUv2 counts instances per class, so an object is a (label, instance) pair: its id is 256 label + instance.
        """
        labels = self._plane("labels", index).astype(np.int64)
        if labels.max() >= len(self.nyu40):
            raise ValueError(
                f"{self.path}: key `labels`: frame {index} (0-based) has class {labels.max()}, known are 0..894; "
                "take the original labelled file"
            )
        maps = {"semantics": torch.from_numpy(self.nyu40[labels].astype(np.int64))}
        if self.has_instances:
            instances = self._plane("instances", index).astype(np.int64)
            maps["instances"] = torch.from_numpy(np.where((labels > 0) & (instances > 0), 256 * labels + instances, 0))
        return maps

    def _plane(self, key: str, index: int) -> NDArray[Any]:
        """One frame of a key, its axes put from MATLAB's (..., W, H) to (..., H, W)."""
        if self._handle is None or self._process != os.getpid():
            self._handle, self._process = h5py.File(self.path), os.getpid()
        try:
            plane = self._handle[key][index]
        except OSError as error:
            raise ValueError(
                f"{self.path}: key `{key}`: frame {index} (0-based) is damaged; fetch or make the file again"
            ) from error
        return np.ascontiguousarray(plane.swapaxes(-1, -2))


@contextmanager
def open_labeled(path: Path) -> Iterator[h5py.File]:
    """Open a labelled file for a moment.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is not HDF5, or cut short.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: download `nyu_depth_v2_labeled.mat` (2.97 GB) from the NYU Depth Dataset V2 page and "
            "put it there (DATA_ROOT is the folder that holds `nyuv2/`)"
        )
    try:
        file = h5py.File(path)
    except OSError as error:
        raise ValueError(
            f"{path}: truncated, or not a MATLAB 7.3 (HDF5) file: {path.stat().st_size:,} bytes "
            f"(the original NYUv2 file has {LABELED_FILE_BYTES:,}); fetch or make it again"
        ) from error
    with file:
        yield file


def read_cells(file: h5py.File, key: str) -> list[str]:
    """The strings of a MATLAB cell array."""
    return ["".join(map(chr, file[reference][()].ravel())) for reference in file[key][()].ravel()]


def count_within(names: Iterable[str]) -> list[int]:
    """For each name, how many equal ones come before it."""
    seen: Counter[str] = Counter()
    numbers = []
    for name in names:
        numbers.append(seen[name])
        seen[name] += 1
    return numbers


def read_splits(path: Path, count: int) -> tuple[list[int], list[int]]:
    """Training and test frames of a splits file, 0-based and in its order.

    Args:
        path: MATLAB file with ``trainNdxs`` and ``testNdxs``, 1-based.
        count: number of frames of the labelled file that it belongs to.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or its indices are not different whole numbers in 1..count.
    """
    content = load_matlab5(path)
    train, test = (_read_indices(path, content, key, count) for key in ("trainNdxs", "testNdxs"))
    if shared := sorted(set(train) & set(test)):
        raise ValueError(
            f"{path}: keys `trainNdxs` and `testNdxs` share {len(shared)} frames, the first is {shared[0] + 1} "
            "(1-based); no test frame may be trained on: take the official splits"
        )
    return train, test


def _read_indices(path: Path, content: dict[str, Any], key: str, count: int) -> list[int]:
    if key not in content:
        raise ValueError(f"{path}: key `{key}` is missing; take the `splits.mat` that belongs to the labelled file")
    values = np.asarray(content[key]).ravel()
    numeric = np.issubdtype(values.dtype, np.number) and values.size > 0
    if not numeric or (values != np.round(values)).any():
        raise ValueError(f"{path}: key `{key}` must hold whole numbers, the 1-based indices of at least one frame")
    if values.min() < 1 or values.max() > count:
        raise ValueError(
            f"{path}: key `{key}` holds indices {int(values.min())}..{int(values.max())}, but the labelled file has "
            f"frames 1..{count}; take the `splits.mat` that belongs to it"
        )
    if len(set(values.tolist())) < values.size:
        raise ValueError(f"{path}: key `{key}` names a frame twice; take the official splits")
    return [int(value) - 1 for value in values]
