"""One command at a time in a folder: a lock that ends with the process, whatever ends it."""

import contextlib
import itertools
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.fabric.utilities.rank_zero import rank_zero_only

from experiments.config.compose import ConfigError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: File that is locked while a command works in its folder; it says which process holds it.
LOCK_FILE = ".lock"

#: Seconds for which a lock is tried: :func:`is_held` has it for a moment, to look.
PATIENCE = 0.2

#: Descriptors of locks that this process holds. A fork would keep them when the process itself is killed.
_held: set[int] = set()


@contextmanager
def work_in(folder: Path, fix: str, *, fresh: bool = False) -> Iterator[Path]:
    """Make a folder and hold it until the block ends; what is still empty then is removed again.

    Only global rank zero does so: the other processes of a command work in the same folder by its leave. On a file
    system without locks the folder is made all the same.

    Args:
        folder: to work in.
        fix: what to do where another process is at work in it.
        fresh: never take a folder that is there already, but one named like it with ``-2``, ``-3``, ....

    Yields:
        The folder that was taken.

    Raises:
        ConfigError: if another process is at work in it, or it cannot be made.
    """
    if getattr(rank_zero_only, "rank", 0) != 0:
        yield folder
        return
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    taken = _make(folder, fresh)
    made = [taken, *missing[1:]] if fresh else missing
    descriptor = None
    try:
        descriptor = _lock(taken, fix)
        yield taken
    finally:
        if descriptor in _held:  # not so in a forked child that unwinds
            with contextlib.suppress(OSError):
                (taken / LOCK_FILE).unlink()
            _held.discard(descriptor)
            os.close(descriptor)
        with contextlib.suppress(OSError):  # not empty: something was left there to keep
            for path in made:
                path.rmdir()


def is_held(folder: Path) -> bool:
    """Whether a process is at work in a folder."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _make(folder: Path, fresh: bool) -> Path:
    names = itertools.chain([folder.name], (f"{folder.name}-{number}" for number in itertools.count(2)))
    try:
        for name in names if fresh else [folder.name]:
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.with_name(name).mkdir(exist_ok=not fresh)
                return folder.with_name(name)
            except FileExistsError:
                if not fresh:
                    raise
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from error
    raise AssertionError("unreachable: names do not end")


def _lock(folder: Path, fix: str) -> int | None:
    """Lock a folder's file; None where that cannot be done.

    Raises:
        ConfigError: if another process has locked it.
    """
    path, patience = folder / LOCK_FILE, time.monotonic() + PATIENCE
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:  # what the command itself writes will tell
            return None
        if _try_lock(descriptor) and _is_named(descriptor, path):  # else its last holder has just removed it
            _held.add(descriptor)
            with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            return descriptor
        holder = os.read(descriptor, 1000).decode(errors="replace").strip() or "it does not say which"
        os.close(descriptor)
        if time.monotonic() > patience:
            raise ConfigError(f"{folder}: another process is at work there ({holder}); {fix}")
        time.sleep(0.01)


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether an open file still is the one of its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _try_lock(descriptor: int) -> bool:
    """Whether an open file is locked now, or cannot be locked by anyone."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


def _forget() -> None:
    """Let go, in a forked child, of what the parent holds; the parent's own lock stays."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
