"""Ways in which files are broken, and what a reader must say then."""

import builtins
import errno
import io
import os
import re
from contextlib import contextmanager

import h5py
import numpy as np
import signal

#: What a user is told to do about a broken file.
MEND = re.compile(
    r"\b(fetch|check|make|put|take|download|remove|rename|convert|complete|set|save|unpack|leave|comes with|page)\b"
)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def replace_by_text(path):
    path.write_bytes(b"this is another format\n" * 40)


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def delete(path):
    path.unlink()


BROKEN_FILES = {
    "truncated": truncate,
    "0 bytes": empty,
    "another format": replace_by_text,
    "a folder": replace_by_folder,
    "missing": delete,
}


@contextmanager
def failing(monkeypatch, path, code):
    """Opening one file fails with a system error, which a test that runs as root cannot have otherwise."""
    opened, opened_hdf5 = builtins.open, h5py.File

    def refuse(file):
        if not isinstance(file, int) and os.fspath(file) == os.fspath(path):
            raise OSError(code, os.strerror(code), str(path))

    def open_(file, *args, **kwargs):
        refuse(file)
        return opened(file, *args, **kwargs)

    class File(opened_hdf5):
        def __init__(self, name, *args, **kwargs):
            refuse(name)
            super().__init__(name, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", open_)
        patch.setattr(io, "open", open_)
        patch.setattr(h5py, "File", File)
        yield


SYSTEM_ERRORS = {"no permission": errno.EACCES, "read error": errno.EIO}


def rewrite_hdf5(path, key, change, new_key=None):
    """Put another array in the place of one of an HDF5 file."""
    with h5py.File(path, "r+") as file:
        array = change(file[key][()])
        del file[key]
        file[new_key or key] = array


def put(value, at=(0, 0)):
    """A change that sets one element."""

    def change(array):
        array = np.array(array)
        array[at] = value
        return array

    return change


def complaints(module):
    """What is said of a data set: one line of the data set as a whole, or one for each frame that cannot be read."""
    try:
        reader, _ = module.reader, module.splits
    except (ValueError, OSError) as error:
        return [str(error)]
    found = []
    for position in range(len(reader)):
        try:
            reader.read(position)
        except (ValueError, OSError) as error:
            found.append(str(error))
    return found


def check_complaint(text, *mentioned):
    """One line, which names what is wrong and says what to do."""
    assert "\n" not in text, text
    for words in mentioned:
        assert words in text, f"{words!r} is not in {text!r}"
    assert MEND.search(text), f"no mend in {text!r}"
    text.encode()  # printable


@contextmanager
def time_limit(seconds):
    """Raise where a hang would be."""

    def stop(number, frame):
        raise TimeoutError(f"still not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
