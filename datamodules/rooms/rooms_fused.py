"""Rooms as the fused NYU set is: two labelled files, of which the first version's has scenes of its own."""

import tempfile
from functools import cached_property
from pathlib import Path

import torch
from filelock import FileLock

from datamodules.nyuv2.nyu_fused import NYUFusedDataModule
from datamodules.rooms import RoomsParameters
from datamodules.rooms.data_root import write_first_version
from datamodules.rooms.dataset import NYUV2_FORMAT
from datamodules.rooms.rooms_datamodule import CachedRooms


class RoomsFusedDataModule(CachedRooms, NYUFusedDataModule):
    """Procedural indoor scenes in the format of NYU Depth v1 and v2, fused. Its metrics say nothing about either.

    Args:
        root: see :class:`CachedRooms`.
        rooms: what is rendered as v2; v1 has a quarter as many other scenes.
        kwargs: of :class:`NYUFusedDataModule`.
    """

    form = NYUV2_FORMAT

    def prepare_data(self) -> None:
        """Render what is not there yet; Lightning calls this in one process per machine, while the others wait."""
        super().prepare_data()
        if self.store is None:
            ensure_first_version(self.rooms, Path(self.root).expanduser())

    @cached_property
    def v1_folder(self) -> Path:
        """Return the rendered first version's."""
        return ensure_first_version(self.rooms, Path(self.root).expanduser())


def ensure_first_version(parameters: RoomsParameters, cache: Path) -> Path:
    """Return the folder of v1's labelled file, which is rendered first if it is missing; it appears whole, by a rename.

    Args:
        parameters: of the second version; this one has a quarter as many scenes, with another seed.
        cache: folder of all rendered sets.
    """
    folder = cache / f"{parameters.key}-nyuv1"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix=f"{folder.name}.part-", dir=cache) as partial:
                device = "cuda" if torch.cuda.is_available() else "cpu"
                write_first_version(Path(partial) / "nyuv1", parameters, device)
                (Path(partial) / "nyuv1").rename(folder)
    return folder
