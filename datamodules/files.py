"""Reads single files, or says in one line which file is wrong, why, and what to do."""

import csv
import errno
import os
import re
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from datamodules.declared_size import check_declared, dataset_shape

#: Items that are tried before a data set counts as unreadable.
FIRST_TRIED = 50

FIX = "fetch or make it again"

#: A file of this name says that a folder in another data set's format holds Rooms, the built-in synthetic set.
ROOMS_MARKER = "ROOMS.txt"

Item = TypeVar("Item")
Content = TypeVar("Content")


class WriteError(OSError):
    """A file that could not be written: its number for programs, one line without it for people."""

    def __str__(self) -> str:
        return str(self.strerror or super().__str__())


def printable(path: Path | str) -> str:
    """Return a path as text that any terminal and log can hold; bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")


def unreadable(path: Path, form: str, fix: str = FIX, error: Exception | None = None) -> FileNotFoundError | ValueError:
    """Return the error to raise in place of a library's that could not read a file: why, as far as error and file tell.

    Args:
        path: the file.
        form: what it should be, such as "an HDF5 file".
        fix: what to do.
        error: what the library raised.
    """
    if error is not None and "unable to lock file" in str(error):
        return ValueError(
            f"{printable(path)}: another program has it open, or its file system has no locks: close that program, or "
            "set HDF5_USE_FILE_LOCKING=FALSE"
        )
    if isinstance(error, OSError) and error.errno not in (None, 0, errno.ENOENT):
        return _refused(path, error)
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
        size = path.stat().st_size
    except FileNotFoundError:
        return FileNotFoundError(f"{printable(path)} is missing: {fix}")
    except OSError as error:
        return _refused(path, error)
    if is_empty:
        return ValueError(f"{printable(path)}: truncated: it has no content (0 bytes); {fix}")
    return ValueError(f"{printable(path)}: truncated, or not {form} ({size:,} bytes); {fix}")


def _refused(path: Path, error: OSError) -> ValueError:
    """The error to raise for a file or folder that the system does not let us read."""
    reason = os.strerror(error.errno) if error.errno else "no reason is given"  # HDF5's own texts have many lines
    return ValueError(f"{printable(path)}: cannot be read ({reason}); check its permissions and the disk")


def read_bytes(path: Path, fix: str = FIX) -> bytes:
    """Return the content of a file.

    Args:
        path: the file.
        fix: what to do if it is missing or damaged.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is empty or cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, "a readable file", fix, error) from error
    if not content:
        raise unreadable(path, "a readable file", fix)
    return content


def read_first(read: Callable[[Item], Content], items: Iterable[Item]) -> Content:
    """Return what is read of the first item that can be read, among the first and last 25.

    Raises:
        FileNotFoundError | ValueError: what reading the first item raises, if none can be read.
    """
    first: Exception | None = None
    everything = list(items)
    half = FIRST_TRIED // 2
    for item in everything if len(everything) <= FIRST_TRIED else everything[:half] + everything[-half:]:
        try:
            return read(item)
        except (FileNotFoundError, ValueError) as error:
            first = first or error
    raise first or ValueError("there is nothing to read")


@contextmanager
def open_hdf5(path: Path, form: str = "an HDF5 file", fix: str = FIX) -> Iterator[h5py.File]:
    """Open an HDF5 file for a moment.

    Args:
        path: the file.
        form: what it should be.
        fix: what to do if it is missing or damaged.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it, or what is read of it, is damaged.
    """
    try:
        with h5py.File(path) as file:
            yield file
    except (OSError, RuntimeError, KeyError, MemoryError) as error:  # KeyError: of a listed name that cannot be opened
        raise unreadable(path, form, fix, error) from error


def read_hdf5(
    path: Path, kind: Literal["float", "integer"], shape: tuple[int | None, ...], key: str = "dataset"
) -> NDArray[Any]:
    """Return an HDF5 file's one array.

    Args:
        path: the file.
        kind: of its dtype.
        shape: its shape; None stands for any length but 0.
        key: name of the array.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or key, dtype or shape are others.
    """
    with open_hdf5(path) as file:
        found, place = _array_shape(file, path, key), f"{printable(path)}: key `{key}`"
        dtype = file[key].dtype
        if dtype.kind not in {"float": "f", "integer": "iu"}[kind]:
            raise ValueError(f"{place} is {dtype}, not {kind}; {FIX}")
        fits = len(found) == len(shape) and all(a == s or s is None for a, s in zip(found, shape, strict=True))
        if not fits or 0 in found:
            wanted = tuple("any" if length is None else length for length in shape)
            raise ValueError(f"{place} is {found}, not {wanted}; {FIX}")
        check_declared(found, place, FIX)
        return np.asarray(file[key][()])


def hdf5_size(path: Path, key: str = "dataset") -> tuple[int, int]:
    """Return height and width of an HDF5 file's one map, without reading it.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or the array is no map.
    """
    with open_hdf5(path) as file:
        shape = _array_shape(file, path, key)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"{printable(path)}: key `{key}` is {shape}, not a map (height, width); {FIX}")
    return shape[0], shape[1]


def _array_shape(file: h5py.File, path: Path, key: str) -> tuple[int, ...]:
    if key not in file:
        raise ValueError(f"{printable(path)}: key `{key}` is missing (found: {', '.join(file)}); {FIX}")
    return dataset_shape(file[key], f"{printable(path)}: key `{key}`", FIX)


def read_lines(path: Path, origin: str) -> list[str]:
    """Return lines of a text file as :func:`number_lines` reads them, without their numbers."""
    return [line for _, line in number_lines(path, origin)]


def number_lines(path: Path, origin: str) -> list[tuple[int, str]]:
    """Return lines of a text file with their 1-based numbers, stripped, empty ones left out.

    Args:
        path: the file.
        origin: where a user gets it.

    Raises:
        FileNotFoundError: if it is missing, saying where it comes from.
        ValueError: if it cannot be read, is empty, or is not UTF-8, or UTF-16 with a byte order mark, naming the line.
    """
    content = read_bytes(path, origin)
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{printable(path)}: line {number} is not UTF-8 text; save the file as UTF-8") from error
    rows = re.split(r"\r\n|\r|\n", text)  # not what else Unicode calls the end of a line: names may hold it
    lines = [(number, line.strip()) for number, line in enumerate(rows, start=1) if line.strip()]
    if not lines:
        raise ValueError(f"{printable(path)}: names no frame; {origin}")
    return lines


def read_table(path: Path, origin: str) -> list[list[str]]:
    """Return rows of a CSV file, the header first; raises as :func:`number_lines` does."""
    try:
        return list(csv.reader(read_lines(path, origin)))
    except csv.Error as error:
        raise ValueError(f"{printable(path)}: is not a CSV table ({error}); {FIX}") from error


@contextmanager
def renamed_when_whole(path: Path, fix: str) -> Iterator[Path]:
    """Yield where to write a file, which gets its name when the block ends without an error, and else is removed.

    Its folder is made where it is not there. Permissions are those of any new file, not ``tempfile``'s: caches and
    stores are shared. Several processes may write the same file at once: the last one's stays.

    Args:
        path: the file.
        fix: what to do if it cannot be written.

    Raises:
        WriteError: if it cannot be written, naming it.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        if error.errno is None:  # not the system's: it says itself what is wrong, such as a frame that cannot be read
            raise
        reason = error.strerror or str(error)
        raise WriteError(error.errno, f"{printable(path)}: cannot be written ({reason}); {fix}") from error


@contextmanager
def written_atomically(path: Path, fix: str) -> Iterator[BinaryIO]:
    """Yield a file to write to; appears and raises as :func:`renamed_when_whole` has it."""
    with renamed_when_whole(path, fix) as partial, partial.open("wb") as file:
        yield file


def write_text_atomically(path: Path, text: str) -> None:
    """Write a text file that appears when it is whole; raises as :func:`written_atomically` does."""
    with written_atomically(path, "choose another place, or make room") as file:
        file.write(text.encode())


def path_named(folder: Path, name: str) -> Path:
    """Return the file that a list calls so, whatever system the list was made on.

    Backslashes separate folders as slashes do, and an accented letter may be one character or two: macOS writes two.

    Args:
        folder: that the name is relative to.
        name: as in the list; a slash in front means nothing.
    """
    path = folder / name.replace("\\", "/").lstrip("/")
    if not name.isascii() and not path.exists():
        for form in ("NFC", "NFD"):
            if (other := Path(unicodedata.normalize(form, str(path)))).exists():
                return other
    return path


def set_aside(path: Path, error: Exception) -> None:
    """Give a broken file another name, so that it can be written anew and nothing of it is lost."""
    kept = path.with_name(f"{path.name}.broken")
    path.replace(kept)
    warnings.warn(f"{printable(path)}: cannot be read ({error}); it is kept as {kept.name}", stacklevel=2)


def names_in(folder: Path) -> set[str]:
    """Return names of what is in a folder; none where there is no such folder.

    Raises:
        ValueError: if it cannot be read.
    """
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise _refused(folder, error) from error


def missing_files(paths: Iterable[Path]) -> list[Path]:
    """Return those of many files that are missing, in order.

    Lists each folder once, which on a network drive is many times faster than asking for each file.
    """
    paths = list(paths)
    wanted: dict[Path, set[str]] = defaultdict(set)
    for path in paths:
        wanted[path.parent].add(path.name)
    present = {folder: names_in(folder) for folder in wanted}
    return [path for path in paths if path.name not in present[path.parent]]


def require_files(paths: Iterable[Path]) -> None:
    """Check that files are there.

    Raises:
        FileNotFoundError: if some are not, naming the first, and how many.
    """
    if missing := missing_files(paths):
        alike = sorted(name for name in names_in(missing[0].parent) if name.casefold() == missing[0].name.casefold())
        found = f" (there is {printable(alike[0])}: capitals count)" if alike else ""
        raise FileNotFoundError(
            f"{printable(missing[0])} is missing{found}, one of {len(missing)} missing files that the lists name; "
            "complete the data, or take their lines out (`segdepth data verify` names them all)"
        )
