"""The converted store: a data set's frames, prepared, in a few HDF5 files that random access reads fast."""

import json
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import DataLoader, Dataset

from datamodules.files import printable, read_bytes, renamed_when_whole, unreadable, write_text_atomically
from datamodules.frames import Frame, FrameReader

INDEX_FILE = "store.json"
PLAN_FILE = "plan.json"

#: Frames in one file: what an interrupted conversion may have to do again.
SHARD = 128

#: Files that a reader keeps open; systems often allow a process 1024.
OPEN_FILES = 64

CONVERT = "remove it and convert again (`segdepth data convert`)"

#: Integer maps are stored as small as they fit.
_INTEGERS = (np.uint8, np.uint16, np.int32, np.int64)


@dataclass(frozen=True)
class StorePlan:
    """What a store is to hold; a conversion is resumed only with the same plan.

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
    """Return positions of each file's frames."""
    return [range(first, min(first + SHARD, count)) for first in range(0, count, SHARD)]


def shard_path(folder: Path, number: int) -> Path:
    """Return the file of a shard."""
    return folder / f"frames-{number:05d}.h5"


def write_store(reader: FrameReader, folder: Path, plan: StorePlan, workers: int = 0) -> Iterator[int]:
    """Convert a data set; yield the number of frames done so far, the first time at once.

    Every file appears by a rename when it is whole, and the index is written last. An interrupted conversion is resumed
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
    size = largest([reader.size_of(position) for position in range(len(reader))])
    frames = iter(DataLoader(_Frames(reader, positions), batch_size=None, num_workers=workers))
    for number in remaining:
        with renamed_when_whole(shard_path(folder, number), "make room, and run it again") as partial:
            with h5py.File(partial, "w", libver="latest") as file:
                for row, _ in enumerate(shards(len(reader))[number]):
                    _append(file, row, next(frames), size, plan.compression)
                    done += 1
                    yield done
            with partial.open("rb") as written:
                os.fsync(written.fileno())
    _write_index(folder, reader, plan)


def remove_partial(folder: Path) -> None:
    """Remove what conversions that were interrupted have left half-written."""
    for path in folder.glob("frames-*.part"):
        path.unlink(missing_ok=True)


def _check_plan(folder: Path, plan: StorePlan) -> None:
    content = json.dumps(vars(plan), sort_keys=True, indent=1)
    path = folder / PLAN_FILE
    if path.is_file() and path.read_text(encoding="utf-8") != content:
        raise ValueError(
            f"{printable(folder)}: holds a store of other data or options ({PLAN_FILE} says which); "
            "give another folder, or remove this one"
        )
    write_text_atomically(path, content)


def largest(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the largest height and the largest width: those of the arrays that hold frames of several sizes."""
    return max(height for height, _ in sizes), max(width for _, width in sizes)


def _append(file: h5py.File, row: int, frame: Frame, size: tuple[int, int], compression: str | None) -> None:
    numbers = {"intrinsics": frame.intrinsics, "frame": torch.tensor(frame.frame), "index": torch.tensor(frame.index)}
    below, right = size[0] - frame.size[0], size[1] - frame.size[1]
    maps = {key: pad(map_, (0, right, 0, below)) for key, map_ in {"image": frame.image, **frame.maps}.items()}
    groups = {"maps": maps, "facts": {**numbers, **frame.facts}}
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
    sizes = [reader.size_of(position) for position in range(len(reader))]
    index = {
        **vars(plan),
        "scenes": list(reader.scenes),
        "indices": list(reader.indices),
        "size": list(reader.size),
        "sizes": [list(size) for size in sizes] if len(set(sizes)) > 1 else None,
        "provides": sorted(reader.provides),
        "provenance": reader.provenance,
        "depth_remarks": list(reader.depth_remarks),
        "sparse": reader.sparse,
        "names": [reader.name_of(position) for position in range(len(reader))],
        "sources": [reader.source(position) for position in range(len(reader))],
    }
    write_text_atomically(folder / INDEX_FILE, json.dumps(index))


class _Rows:
    """A dataset of one value per frame."""

    def __init__(self, dataset: h5py.Dataset):
        self.dataset = dataset
        self.dtype = np.dtype(dataset.attrs["dtype"])

    def read(self, row: int) -> Tensor:
        """Return a frame's value, as the dtype it had before it was stored."""
        return torch.from_numpy(np.asarray(self.dataset[row]).astype(self.dtype, copy=False))


class _Shard:
    """An open file and its datasets, looked up once: h5py takes longer to find a dataset than to read a row of it."""

    def __init__(self, path: Path):
        self.file = h5py.File(path)
        self.maps, self.facts = (
            {key: _Rows(dataset) for key, dataset in self.file[group].items()} for group in ("maps", "facts")
        )


_INDEX_KEYS = ("scenes", "sources", "indices", "provides", "size", "name", "identity", "options", "splits")


class StoreReader(FrameReader):
    """Frames of a converted store.

    Args:
        folder: of the store.

    Raises:
        FileNotFoundError: if there is none, or its conversion was not finished.
        ValueError: if its index is damaged.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        path = folder / INDEX_FILE
        if not path.exists():
            state = (
                "was not finished: run it again and it goes on" if (folder / PLAN_FILE).is_file() else "is not there"
            )
            raise FileNotFoundError(f"{printable(path)} is missing: the conversion (`segdepth data convert`) {state}")
        content = read_bytes(path, CONVERT)
        try:
            self.index: dict[str, Any] = json.loads(content)
            scenes, sources, indices, provides, (height, width), *_ = (self.index[key] for key in _INDEX_KEYS)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{printable(path)}: is not the index of a store; {CONVERT}") from error
        if not len(scenes) == len(sources) == len(indices) > 0:
            raise ValueError(f"{printable(path)}: names other numbers of scenes, sources and indices; {CONVERT}")
        self.scenes = tuple(scenes)
        self.size = (height, width)
        sizes = self.index.get("sizes")
        self._sizes = None if sizes is None else [(int(rows), int(columns)) for rows, columns in sizes]
        self._stored_size = self.size if self._sizes is None else largest(self._sizes)
        self.provides = frozenset(provides)
        self.provenance = str(self.index.get("provenance", ""))  # stores made before it was recorded have none
        self.depth_remarks = tuple(self.index.get("depth_remarks", ()))
        self.sparse = bool(self.index.get("sparse", False))
        self._shards: OrderedDict[int, _Shard] = OrderedDict()
        self._process: int | None = None

    @property
    def identity(self) -> str:
        """Return the identity of the data that the store was made of."""
        return str(self.index["identity"])

    @property
    def frame_numbers(self) -> Sequence[int]:  # type: ignore[override]
        """Read of every frame, which few commands ask for."""
        return [int(self._values(position, "facts", ("frame",))["frame"]) for position in range(len(self))]

    @property
    def indices(self) -> Sequence[int]:
        """Return the numbers of frames in the data that the store was made of."""
        return list(self.index["indices"])

    def size_of(self, position: int) -> tuple[int, int]:
        """Return height and width of a frame."""
        return self.size if self._sizes is None else self._sizes[position]

    def name_of(self, position: int) -> str:
        """Return what the original files call a frame; empty in stores made before it was recorded."""
        names = self.index.get("names")
        return str(names[position]) if names else ""

    def source(self, position: int) -> str:
        """Return the shard, and the original file."""
        return f"{printable(shard_path(self.folder, position // SHARD))} (from {self.index['sources'][position]})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": OrderedDict(), "_process": None}

    def read(self, position: int) -> Frame:
        """Return the frame at a position.

        Raises:
            FileNotFoundError: if its file is missing.
            ValueError: if it is damaged.
        """
        maps, facts = self._values(position, "maps"), self._values(position, "facts")
        if missing := {"image", "intrinsics", "frame", "index", *self.provides} - maps.keys() - facts.keys():
            raise ValueError(f"{self.source(position)}: key `{min(missing)}` is missing; {CONVERT}")
        return Frame(
            image=maps.pop("image"),
            maps=maps,
            intrinsics=facts.pop("intrinsics"),
            scene=self.scenes[position],
            frame=int(facts.pop("frame")),
            index=int(facts.pop("index")),
            facts=facts,
            sparse=self.sparse,
        )

    def read_depth(self, position: int) -> Tensor:
        """Return depth alone; raises as :meth:`read` does."""
        return self._values(position, "maps", ("depth",))["depth"]

    def _values(self, position: int, group: Literal["maps", "facts"], keys: Sequence[str] = ()) -> dict[str, Tensor]:
        """Maps or facts of a frame by name, all or some, checked: files change after they are written."""
        try:
            datasets = getattr(self._shard(position // SHARD), group)
            values = {key: datasets[key].read(position % SHARD) for key in keys or datasets}
        except (AttributeError, IndexError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # the system's, not HDF5's
                raise unreadable(
                    shard_path(self.folder, position // SHARD), "a part of a store", CONVERT, error
                ) from error
            raise ValueError(
                f"{self.source(position)}: damaged: its {group} are not as they were written; {CONVERT}"
            ) from error
        for key, value in values.items() if group == "maps" else ():
            if tuple(value.shape[-2:]) != self._stored_size:
                raise ValueError(
                    f"{self.source(position)}: key `{key}` is {tuple(value.shape)}, frames are {self._stored_size}; "
                    f"{CONVERT}"
                )
            if value.is_floating_point() and not value.isfinite().all():
                raise ValueError(f"{self.source(position)}: key `{key}` has values that are not finite; {CONVERT}")
        if group == "maps" and self._sizes is not None:
            height, width = self._sizes[position]
            values = {key: value[..., :height, :width].contiguous() for key, value in values.items()}
        return values

    def _shard(self, number: int) -> _Shard:
        if self._process != os.getpid():  # handles do not survive a fork
            self._shards, self._process = OrderedDict(), os.getpid()
        if number not in self._shards:
            self._shards[number] = _Shard(shard_path(self.folder, number))
            if len(self._shards) > OPEN_FILES:
                self._shards.popitem(last=False)[1].file.close()
        self._shards.move_to_end(number)
        return self._shards[number]
