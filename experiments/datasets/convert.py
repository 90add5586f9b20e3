"""`segdepth data convert`: a copy of a data set that random access reads fast."""

import shutil
import time
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from datamodules import DepthDataModule
from datamodules.files import printable
from datamodules.frames import Frame
from datamodules.storage.store import StorePlan, remove_partial, write_store
from experiments.config.compose import ConfigError
from experiments.datasets.scan_progress import count_workers, frame_progress
from experiments.results.folder_lock import work_in

GIGABYTE = 1e9


def convert(
    module: DepthDataModule, output: Path, compression: Literal["lzf"] | None = None, workers: int | None = None
) -> None:
    """Write a store; resume one that was interrupted.

    Args:
        module: the data set.
        output: folder of the store.
        compression: `lzf` takes less space; None reads fastest.
        workers: processes that read; None takes up to 8, no more than there are free cores.

    Raises:
        ConfigError: if the data set is a store already, another process writes there, or the disk is too small.
        ValueError: if the folder holds another store, or a frame cannot be read, naming its file.
    """
    if module.store is not None:
        raise ConfigError("the data set is read from a store already: leave out `data.init_args.store`")
    with work_in(output.expanduser(), "wait until it ends, and the store is there"):
        _convert(module, output.expanduser(), compression, workers)


def _convert(module: DepthDataModule, output: Path, compression: Literal["lzf"] | None, workers: int | None) -> None:
    """Write the store into a folder in which no other command is at work."""
    started = time.monotonic()
    reader = module.reader
    remove_partial(output)
    plan = StorePlan(
        name=module.name,
        identity=reader.identity,
        options=module.all_options,
        splits={part: [int(p) for p in positions] for part, positions in vars(module.read_splits(reader)).items()},
        compression=compression,
    )
    check_space(output, len(reader) * stored_bytes(reader.read(0), compression))
    with frame_progress(f"convert {module.name}", len(reader)) as advance:
        for done in write_store(reader, output, plan, count_workers(workers)):
            advance(done)
    print(
        f"{module.name}: {len(reader):,} frames in {printable(output)}, {folder_bytes(output) / GIGABYTE:.2f} GB, "
        f"{time.monotonic() - started:.1f} s; read them with `--data.init_args.store {printable(output)}`"
    )


def stored_bytes(frame: Frame, compression: str | None) -> int:
    """Return bytes that the maps of a frame take in a store, measured on an HDF5 file in memory."""
    with h5py.File("frame", "w", driver="core", backing_store=False) as file:
        for key, value in {"image": frame.image, **frame.maps}.items():
            array = value.numpy()
            if array.dtype == np.int64:
                array = array.astype(np.min_scalar_type(array.max()))
            file.create_dataset(key, data=array, chunks=array.shape, compression=compression)
        file.flush()
        return sum(file[key].id.get_storage_size() for key in file)


def check_space(folder: Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        ConfigError: if less is free than needed, not counting what the folder holds already.
    """
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free, remaining = shutil.disk_usage(existing).free, needed - folder_bytes(folder)
    if remaining > free:
        raise ConfigError(
            f"{printable(folder)}: the store takes about {remaining / GIGABYTE:.2f} GB more and the disk has "
            f"{free / GIGABYTE:.2f} GB free; give another `--output`, or set `--compression lzf`"
        )


def folder_bytes(folder: Path) -> int:
    """Return bytes of the files in a folder; 0 if there is none."""
    return sum(path.stat().st_size for path in folder.glob("*") if path.is_file())
