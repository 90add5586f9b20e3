"""The converted store: a data set's frames, prepared, in a few HDF5 files that random access reads fast."""

import json
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.files import printable
from datamodules.frames import Frame, FrameReader

INDEX_FILE = "store.json"
PLAN_FILE = "plan.json"

#: Frames in one file: what an interrupted conversion may have to do again.
SHARD = 128

#: Files that a reader keeps open; systems often allow a process 1024.
OPEN_FILES = 64

#: Integer maps are stored as small as they fit.
_INTEGERS = (np.uint8, np.uint16, np.int32, np.int64)


@dataclass(frozen=True)
class StorePlan:
    """What a store is to hold; a conversion goes on only with the same plan.

    Attributes:
        name: of the data set.
        identity: of its files and options, see :class:`FrameReader`.
        options: of the data module, by name, that shape frames and splits.
        splits: positions by part.
        compression: ``lzf`` or none; none reads fastest.
    """

    name: str
    identity: str
    options: Mapping[str, Any]
    splits: Mapping[str, list[int]]
    compression: str | None = None


class _Frames(Dataset[Frame]):
    def __init__(self, reader: FrameReader, positions: list[int]):
        self.reader = reader
        self.positions = positions

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, number: int) -> Frame:
        return self.reader.read(self.positions[number])


def shards(count: int) -> list[range]:
    """Positions of each file's frames."""
    return [range(first, min(first + SHARD, count)) for first in range(0, count, SHARD)]


def shard_path(folder: Path, number: int) -> Path:
    """File of a shard."""
    return folder / f"frames-{number:05d}.h5"


def write_store(reader: FrameReader, folder: Path, plan: StorePlan, workers: int = 0) -> Iterator[int]:
    """Convert a data set; yields the number of frames that are done, the first time at once.

    Every file appears by a rename when it is whole, and the index is written last. An interrupted conversion goes on
    where it stopped.

    Args:
        reader: the frames.
        folder: of the store.
        plan: what the store holds.
        workers: processes that read.

    Raises:
        ValueError: if the folder holds a store of another plan, or a frame cannot be read, naming its file.
        OSError: if the store cannot be written.
    """
    _check_plan(folder, plan)
    remaining = [n for n in range(len(shards(len(reader)))) if not shard_path(folder, n).is_file()]
    done = len(reader) - sum(len(shards(len(reader))[n]) for n in remaining)
    yield done
    positions = [position for n in remaining for position in shards(len(reader))[n]]
    frames = iter(DataLoader(_Frames(reader, positions), batch_size=None, num_workers=workers))
    for number in remaining:
        path = shard_path(folder, number)
        partial = path.with_suffix(".part")
        with h5py.File(partial, "w", libver="latest") as file:
            for row, _ in enumerate(shards(len(reader))[number]):
                _append(file, row, next(frames), plan.compression)
                done += 1
                yield done
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.rename(path)
    _write_index(folder, reader, plan)


def _check_plan(folder: Path, plan: StorePlan) -> None:
    content = json.dumps(vars(plan), sort_keys=True, indent=1)
    path = folder / PLAN_FILE
    if path.is_file() and path.read_text(encoding="utf-8") != content:
        raise ValueError(
            f"{printable(folder)}: holds a store of other data or options ({PLAN_FILE} says which); "
            "give another folder, or remove this one"
        )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def _append(file: h5py.File, row: int, frame: Frame, compression: str | None) -> None:
    numbers = {"intrinsics": frame.intrinsics, "frame": torch.tensor(frame.frame), "index": torch.tensor(frame.index)}
    groups = {"maps": {"image": frame.image, **frame.maps}, "facts": {**numbers, **frame.facts}}
    for group, values in groups.items():
        for key, value in values.items():
            _append_array(file.require_group(group), key, row, value, compression)


def _append_array(group: h5py.Group, key: str, row: int, value: Tensor, compression: str | None) -> None:
    array = value.numpy()
    if array.dtype == np.int64 and array.ndim >= 2:
        array = _smallest(array)
    if key not in group:
        group.create_dataset(
            key,
            shape=(0, *array.shape),
            maxshape=(None, *array.shape),
            chunks=(1, *array.shape),
            dtype=array.dtype,
            compression=compression if array.ndim >= 2 else None,
        )
        group[key].attrs["dtype"] = str(value.numpy().dtype)
    elif not np.can_cast(array.dtype, group[key].dtype):
        _widen(group, key, array.dtype)
    group[key].resize(row + 1, axis=0)
    group[key][row] = array


def _smallest(array: NDArray[np.int64]) -> NDArray[Any]:
    for dtype in _INTEGERS:
        limits = np.iinfo(dtype)
        if array.min() >= limits.min and array.max() <= limits.max:
            return array.astype(dtype)
    return array


def _widen(group: h5py.Group, key: str, dtype: np.dtype[Any]) -> None:
    """Give a dataset a dtype that holds a frame's larger ids too."""
    old, attributes = group[key], dict(group[key].attrs)
    values, options = old[()], {"maxshape": old.maxshape, "chunks": old.chunks, "compression": old.compression}
    del group[key]
    group.create_dataset(key, data=values.astype(np.promote_types(values.dtype, dtype)), **options)
    group[key].attrs.update(attributes)


def _write_index(folder: Path, reader: FrameReader, plan: StorePlan) -> None:
    index = {
        **vars(plan),
        "scenes": list(reader.scenes),
        "indices": list(reader.indices),
        "size": list(reader.size),
        "provides": sorted(reader.provides),
        "sources": [reader.source(position) for position in range(len(reader))],
    }
    partial = folder / f"{INDEX_FILE}.part"
    partial.write_text(json.dumps(index), encoding="utf-8")
    partial.rename(folder / INDEX_FILE)


class StoreReader(FrameReader):
    """Frames of a converted store.

    Args:
        folder: of the store.

    Raises:
        FileNotFoundError: if there is none, or its conversion was not finished.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        path = folder / INDEX_FILE
        if not path.is_file():
            state = (
                "was not finished: run it again and it goes on" if (folder / PLAN_FILE).is_file() else "is not there"
            )
            raise FileNotFoundError(f"{printable(path)} is missing: the conversion (`segdepth data convert`) {state}")
        self.index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        self.scenes = tuple(self.index["scenes"])
        height, width = self.index["size"]
        self.size = (height, width)
        self.provides = frozenset(self.index["provides"])
        self._files: OrderedDict[int, h5py.File] = OrderedDict()
        self._process: int | None = None

    @property
    def identity(self) -> str:
        """That of the data the store was made of."""
        return str(self.index["identity"])

    @property
    def indices(self) -> Sequence[int]:
        """As in the data the store was made of."""
        return list(self.index["indices"])

    def source(self, position: int) -> str:
        """The shard, and the original file."""
        return f"{printable(shard_path(self.folder, position // SHARD))} (from {self.index['sources'][position]})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": OrderedDict(), "_process": None}

    def read(self, position: int) -> Frame:
        """The frame at a position.

        Raises:
            ValueError: if its file is damaged.
        """
        try:
            file = self._file(position // SHARD)
            row = position % SHARD
            maps = {key: self._tensor(file["maps"][key], row) for key in file["maps"]}
            facts = {key: self._tensor(file["facts"][key], row) for key in file["facts"]}
        except (OSError, KeyError) as error:
            raise ValueError(f"{self.source(position)}: damaged ({error}); remove it and convert again") from error
        return Frame(
            image=maps.pop("image"),
            maps=maps,
            intrinsics=facts.pop("intrinsics"),
            scene=self.scenes[position],
            frame=int(facts.pop("frame")),
            index=int(facts.pop("index")),
            facts=facts,
        )

    def read_depth(self, position: int) -> Tensor:
        """Depth alone."""
        try:
            return self._tensor(self._file(position // SHARD)["maps"]["depth"], position % SHARD)
        except (OSError, KeyError) as error:
            raise ValueError(f"{self.source(position)}: damaged ({error}); remove it and convert again") from error

    @staticmethod
    def _tensor(dataset: h5py.Dataset, row: int) -> Tensor:
        array = np.asarray(dataset[row])
        return torch.from_numpy(array.astype(dataset.attrs["dtype"], copy=False))

    def _file(self, number: int) -> h5py.File:
        if self._process != os.getpid():  # handles do not survive a fork
            self._files, self._process = OrderedDict(), os.getpid()
        if number not in self._files:
            self._files[number] = h5py.File(shard_path(self.folder, number))
            if len(self._files) > OPEN_FILES:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(number)
        return self._files[number]
