"""What readers say of broken files, and what they must."""

import builtins
import errno
import io
import os
import re
import signal
from contextlib import contextmanager

import h5py

#: What a user is told to do about a broken file.
FIX = re.compile(
    r"\b(fetch|check|make|put|take|download|remove|rename|convert|complete|set|save|unpack|leave|use|comes with|page)\b"
)

SYSTEM_ERRORS = {"no permission": errno.EACCES, "read error": errno.EIO}


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


def complaints(module):
    """What is said of a data set: one line of the data set as a whole, or one for each frame that cannot be read."""
    try:
        reader, _ = module.reader, module.splits
        module.check_training_part()
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
    assert FIX.search(text), f"no fix in {text!r}"
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
