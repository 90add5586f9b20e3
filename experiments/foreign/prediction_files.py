"""Depth predictions on disk, made by any program: one file a frame, or one HDF5 file."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from callbacks.records.prediction_writer import SQUEEZED_FILE
from datamodules.declared_size import check_declared
from datamodules.files import open_hdf5, printable
from datamodules.storage.map_formats import FIX, FORMATS, open_npy, read_map, read_npz
from experiments.foreign.prediction_names import find_by_name
from experiments.foreign.prediction_scenes import NUMBERED, find_in_scenes
from lightning_modules.metrics.aspect import is_scaled

HDF5_SUFFIXES = (".h5", ".hdf5")

#: Suffixes of files that hold the maps of all frames, one below the other.
STACK_SUFFIXES = (".npy", ".npz")

#: Elements that such a file may declare: 100,000 frames of 480x640.
MAX_STACK = 30_720_000_000

#: Of each frame, by 0-based number: where its map lies, for messages, and what reads it.
Readers = dict[int, tuple[str, Callable[[], NDArray]]]


class PredictionFiles:
    """Depth of each frame of a test set, read when it is asked for.

    A folder holds one file a frame (:data:`FORMATS`), whose name holds one number: the frame's own in its data set,
    counted from 1; or it holds such a folder a scene (:func:`find_in_scenes`); or files are called as the frames are
    (:func:`find_by_name`). What gives more test frames a file counts, of equals the number.

    A ``.h5`` or ``.hdf5`` file holds a map a frame under such numbers, or, as an ``.npy`` or ``.npz`` file, one array
    of all maps: a row for each test frame, in the order of the test set, or for each frame of the whole data set.

    The dtype says the unit: floats are metres, unsigned 16-bit integers are ``scale`` steps a metre with 0 where
    nothing is predicted. Maps are (h, w), (1, h, w) or (h, w, 1), of any size at the frame's aspect ratio.

    Args:
        source: the folder or file.
        frames: 0-based numbers of the test frames in their data set, in the order of the test set.
        total: frames of the whole data set.
        scale: steps a metre of 16-bit integers.
        key: array to read of each ``.npz`` that holds several, or dataset or group of an HDF5 file.
        inverse: the maps hold 1 / depth, whose 0 is infinitely far.
        names: scene and number in it of each frame, by number in the data set; None if there are no folders of scenes.
        called: name of each frame that has one, by number in the data set.
        stretch: the maps show whole frames whatever their aspect ratio. What `segdepth predict` wrote says so itself.

    Attributes:
        missing: those of ``frames`` without a prediction.
        matched: how files were told to be of frames, in words; empty where all maps are in one file.

    Raises:
        FileNotFoundError: if there is no such folder or file, or no prediction in it.
        ValueError: if a frame has two files, a number is not one of a frame, or an HDF5 file is of another form.
    """

    def __init__(
        self,
        source: Path,
        frames: Sequence[int],
        total: int,
        *,
        scale: float = 1000.0,
        key: str | None = None,
        inverse: bool = False,
        names: Callable[[], Mapping[int, tuple[str, int]]] | None = None,
        called: Callable[[], Mapping[int, str]] | None = None,
        stretch: bool = False,
    ):
        if not scale > 0:
            raise ValueError(f"`--scale` is steps a metre and must be positive, got {scale:g}")
        self.source, self.scale, self.key, self.inverse = source, scale, key, inverse
        self.stretch, self._squeezed = stretch, _squeezed_size(source)
        self.matched = ""
        if source.suffix.lower() in HDF5_SUFFIXES:
            self._readers = self._find_maps(frames, total)
        elif source.suffix.lower() in STACK_SUFFIXES and source.is_file():
            self._readers = self._find_rows(frames, total)
        else:
            self._readers = self._find_files(frames, names, called)
        self.missing = [index for index in frames if index not in self._readers]

    def read(self, index: int) -> Tensor:
        """Return depth (1, h, w) float32 in metres of the frame with a 0-based number; NaN where nothing is predicted.

        Raises:
            FileNotFoundError: if its file is missing.
            ValueError: if its file is damaged, or the map has another shape or dtype.
        """
        place, read = self._readers[index]
        values = read()
        shape = values.shape
        if len(shape) == 3 and 1 in (shape[0], shape[2]):
            values = values.squeeze(0 if shape[0] == 1 else 2)
        if values.ndim != 2 or 0 in shape:
            raise ValueError(f"{place}: is {shape}, a depth map is (h, w); {FIX}")
        return torch.from_numpy(self._metres(values, place))[None]

    def read_whole(self, index: int, frame: tuple[int, int]) -> Tensor:
        """Read as :meth:`read` does, for a frame of a size (height, width) that the map shows at another scale.

        Raises:
            FileNotFoundError | ValueError: as :meth:`read`, and if the map has not the frame's aspect ratio.
        """
        depth = self.read(index)
        size = (depth.shape[1], depth.shape[2])
        if self.stretch or size == self._squeezed or is_scaled(size, frame):
            return depth
        turned = is_scaled(size[::-1], frame)
        raise ValueError(
            f"{self._readers[index][0]}: is {size[0]}x{size[1]} pixels, the frame {frame[0]}x{frame[1]}: "
            + ("rows and columns are exchanged; transpose the maps" if turned else "another aspect ratio, as of a crop")
            + ", or set `--stretch true` if they show whole frames squeezed to that size"
        )

    def _metres(self, values: NDArray, place: str) -> NDArray[np.float32]:
        if values.dtype != np.uint16 and values.dtype.kind != "f":
            raise ValueError(f"{place}: is {values.dtype}, depth is in floats (metres) or uint16 (`--scale` a metre)")
        metres = values.astype(np.float64)
        if values.dtype == np.uint16:
            metres = np.where(values > 0, metres / self.scale, np.nan)
        with np.errstate(divide="ignore", over="ignore"):
            return (1 / metres if self.inverse else metres).astype(np.float32)

    def _find_rows(self, frames: Sequence[int], total: int) -> Readers:
        """Those of one NumPy array."""
        shape = self._stack().shape
        rows = self._rows(self.key or "array", shape, frames, total)
        return {
            index: (f"{printable(self.source)}: row {row}", partial(self._read_row, row)) for index, row in rows.items()
        }

    def _read_row(self, row: int) -> NDArray:
        return np.array(self._stack()[row])

    def _stack(self) -> NDArray:
        """All maps: an ``.npy`` file as it lies on disk, an ``.npz`` file read once in each process."""
        if self.source.suffix.lower() == ".npy":
            return open_npy(self.source)
        return _read_stack(self.source, self.key, self.source.stat().st_mtime_ns)

    def _find_files(
        self,
        frames: Sequence[int],
        names: Callable[[], Mapping[int, tuple[str, int]]] | None,
        called: Callable[[], Mapping[int, str]] | None,
    ) -> Readers:
        """Those of a folder."""
        if not self.source.is_dir():
            raise FileNotFoundError(
                f"{printable(self.source)}: is neither a folder of predictions nor a file of them all "
                f"({', '.join((*HDF5_SUFFIXES, *STACK_SUFFIXES))})"
            )
        titles = called() if called is not None else {}
        by_name = find_by_name(self.source, titles) if titles else {}
        try:
            paths = self._find_numbered(names)
        except ValueError:  # names of frames may hold a 0, or several numbers, too
            if not by_name:
                raise
            paths = {}
        self.matched = "by number"
        if sum(index in by_name for index in frames) > sum(index in paths for index in frames):
            index, path = next(iter(by_name.items()))
            paths, self.matched = by_name, f"by name, as {path.relative_to(self.source)} of frame `{titles[index]}`"
        if not paths:
            raise FileNotFoundError(
                f"{printable(self.source)}: holds no prediction; name files by the frames' numbers, such as 0001.npy "
                f"({', '.join(FORMATS)}), in this folder or in one a scene, named by it{_such_as(titles)}"
            )
        return {index: (printable(path), partial(read_map, path, self.key)) for index, path in paths.items()}

    def _find_numbered(self, names: Callable[[], Mapping[int, tuple[str, int]]] | None) -> dict[int, Path]:
        """Files of a folder, or of such a folder a scene, whose names hold the frames' numbers."""
        found = (path.name for path in self.source.iterdir() if path.suffix.lower() in FORMATS)
        here = sorted(name for name in found if not name.startswith("."))  # macOS puts `._0001.npy` beside `0001.npy`
        paths = {index: self.source / name for index, name in self._by_number(here).items()}
        if not paths and names is not None and any(path.is_dir() for path in self.source.iterdir()):
            paths = find_in_scenes(self.source, names())
        return paths

    def _find_maps(self, frames: Sequence[int], total: int) -> Readers:
        """Those of an HDF5 file."""
        with open_hdf5(self.source, fix=FIX) as file:
            if self.key is not None and self.key not in file:
                raise ValueError(f"{printable(self.source)}: key `{self.key}` is missing (found: {', '.join(file)})")
            place = file if self.key is None else file[self.key]
            items = place.values() if isinstance(place, h5py.Group) else [place]
            arrays = [item for item in items if isinstance(item, h5py.Dataset) and item.shape is not None]
            shapes = {str(item.name): item.shape for item in arrays}
        first = next(iter(shapes), "")
        if len(shapes) == 1 and len(shapes[first]) > 2:
            rows = self._rows(first, shapes[first], frames, total)
            return {
                index: (f"{printable(self.source)}: key `{first}` row {row}", partial(self._read_hdf5, first, row))
                for index, row in rows.items()
            }
        names = self._by_number(shapes)
        if not names:
            raise ValueError(
                f"{printable(self.source)}: holds neither one array (N, h, w) nor arrays named by the frames' numbers "
                f"(found: {', '.join(shapes) or 'none'}); name the array with `--key`"
            )
        return {
            index: (f"{printable(self.source)}: key `{name}`", partial(self._read_hdf5, name))
            for index, name in names.items()
        }

    def _by_number(self, names: Iterable[str]) -> dict[int, str]:
        """Names by the 0-based number of their frame; those that do not hold one number are no predictions."""
        found: dict[int, str] = {}
        for name in names:
            if not (number := NUMBERED.fullmatch(Path(name).stem)):
                continue
            index = int(number[1]) - 1
            if index < 0:
                raise ValueError(f"{printable(self.source)}: {name}: frames are counted from 1; rename them all")
            if index in found:
                raise ValueError(f"{printable(self.source)}: {found[index]} and {name} are of one frame; keep one")
            found[index] = name
        return found

    def _rows(self, name: str, shape: tuple[int, ...], frames: Sequence[int], total: int) -> dict[int, int]:
        """Row of each test frame in an array of all maps."""
        if shape[0] == len(frames):
            return {index: row for row, index in enumerate(frames)}
        if shape[0] == total:
            return {index: index for index in frames}
        raise ValueError(
            f"{printable(self.source)}: key `{name}` is {shape}, but the data set has {len(frames)} test frames and "
            f"{total} in all; store one map for each"
        )

    def _read_hdf5(self, name: str, row: int | tuple[()] = ()) -> NDArray:
        with open_hdf5(self.source, fix=FIX) as file:
            shape = file[name].shape
            check_declared(shape if row == () else shape[1:], f"{printable(self.source)}: key `{name}`", FIX)
            return np.asarray(file[name][row])


def _such_as(titles: Mapping[int, str]) -> str:
    """Advice to name files as frames are called, where they are."""
    return f", or as the frames are called, such as {printable(next(iter(titles.values())))}.npy" if titles else ""


@lru_cache(maxsize=1)
def _read_stack(path: Path, key: str | None, written: int) -> NDArray:
    """The array of an ``.npz`` file as it is since it was written."""
    return read_npz(path, key, MAX_STACK)


def _squeezed_size(source: Path) -> tuple[int, ...] | None:
    """Size of maps to which `segdepth predict` says that it has squeezed whole frames; None where it says nothing."""
    try:
        return tuple(json.loads((source / SQUEEZED_FILE).read_text(encoding="utf-8"))["size"])
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not what it wrote
        return None
