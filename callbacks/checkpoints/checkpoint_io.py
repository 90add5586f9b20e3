"""Checkpoint files that are whole or do not exist, whatever happens while they are written."""

import errno
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

#: Ending of a file's name while it is written.
PARTIAL = ".partial"
#: Ending of the stem of the file that was replaced last.
PREVIOUS = "-previous"


class CheckpointError(OSError):
    """A checkpoint that could not be written; the one before it is intact."""


class DamagedCheckpointError(ValueError):
    """A file that is not a checkpoint, is damaged, or is not safe to load."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write beside the file, flush to the disk, then rename; Lightning's own copies through memory and ``/tmp``.

    Args:
        keep_previous: names of files of which the one before is kept, as ``<stem>-previous.ckpt``: disks and network
            file systems also damage what was whole.
    """

    def __init__(self, keep_previous: tuple[str, ...] = ("last.ckpt",)):
        super().__init__()
        self.keep_previous = keep_previous

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            CheckpointError: if there is no room, in one line that says how much there is.
        """
        path = Path(path)
        partial = path.with_name(path.name + PARTIAL)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            if path.name in self.keep_previous and path.exists():
                path.replace(previous(path))
            partial.replace(path)
            _flush_folder(path.parent)
        except (OSError, RuntimeError) as error:  # torch turns a full disk into a RuntimeError of its own
            partial.unlink(missing_ok=True)
            cause = error if isinstance(error, OSError) else error.__context__
            if isinstance(error, RuntimeError) and not isinstance(cause, OSError) and _free(path.parent) > 2**20:
                raise
            code = getattr(cause, "errno", None) or errno.ENOSPC
            raise CheckpointError(
                f"{path}: {os.strerror(code)}, {_free(path.parent) / 2**30:.1f} GiB are free; checkpoints written "
                "before are intact: make room, and resume with the same command and `--ckpt_path last`"
            ) from error

    def load_checkpoint(
        self, path: Any, map_location: Any = lambda storage, loc: storage, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            DamagedCheckpointError: if it cannot be read, in one line that names the file.
        """
        try:
            return super().load_checkpoint(path, map_location, weights_only)
        except (FileNotFoundError, PermissionError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise DamagedCheckpointError(
                f"{path}: cannot be read ({one_line(error)}); take another one (`--ckpt_path`)"
            ) from error


def previous(path: Path) -> Path:
    """Return the path under which the file before this one is kept."""
    return path.with_name(f"{path.stem}{PREVIOUS}{path.suffix}")


def damage(path: Path) -> str | None:
    """Return what is wrong with a checkpoint file, in a few words; None if all of it can be read.

    All checksums are checked, and torch's own reader is tried: an archive that the two read differently is damaged too.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if bad := archive.testzip():
                return f"checksum of {bad} is wrong"
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        return None  # whole, but it holds more than plain values: whoever reads it says so
    except Exception as error:  # of zip, zlib, text and numbers, whichever the damage has met
        return one_line(error)
    return None


def load_checked(path: Path) -> Any:
    """Check all checksums of a checkpoint and return its content, with tensors mapped from the file.

    Raises:
        DamagedCheckpointError: if it is damaged, or holds Python objects.
    """
    if reason := damage(path):
        raise DamagedCheckpointError(f"{path}: not a checkpoint, or a damaged one ({reason})")
    return load_mapped(path)


def load_mapped(path: Path) -> Any:
    """Return the content of a checkpoint, with tensors mapped from the file, whose checksums are not checked.

    Checking them takes as long as reading the whole file.

    Raises:
        DamagedCheckpointError: if the part that is read is damaged, or holds Python objects.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise DamagedCheckpointError(f"{path}: holds Python objects, which could run any code when loaded") from error
    except Exception as error:
        raise DamagedCheckpointError(f"{path}: not a checkpoint, or a damaged one ({one_line(error)})") from error


def one_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its class where it has none."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def remove_partial(folder: Path) -> None:
    """Remove files that a killed process has left half-written."""
    for path in folder.glob(f"*{PARTIAL}"):
        path.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Flush a rename in a folder to the disk, where folders can be opened (not on Windows)."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free if folder.exists() else 0
