"""Rooms as the fused NYU set is: two labelled files, of which the first version's has scenes of its own."""

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from datamodules.cache import cache_folder
from datamodules.nyu_fused import NYUFusedDataModule
from datamodules.rooms import RoomsParameters, ensure_rooms
from datamodules.rooms.data_root import write_first_version


class RoomsFusedDataModule(NYUFusedDataModule):
    """Procedural indoor scenes in the format of NYU Depth v1 and v2, fused. Its figures say nothing about either.

    Args:
        root: cache folder; None takes ``SEGDEPTH_CACHE``, else ``XDG_CACHE_HOME/segdepth``, else ``~/.cache/segdepth``.
        rooms: what is rendered as v2; v1 has a quarter as many other scenes.
        kwargs: of :class:`NYUFusedDataModule`.
    """

    def __init__(self, root: str | None = None, *, rooms: RoomsParameters | None = None, **kwargs: Any):
        super().__init__(str(cache_folder()) if root is None else root, **kwargs)
        self.rooms = rooms or RoomsParameters()

    @property
    def options(self) -> dict[str, Any]:
        """Arguments that shape frames and splits."""
        return {**super().options, "rooms": vars(self.rooms)}

    def prepare_data(self) -> None:
        """Render what is not there yet; Lightning calls this in one process per machine, while the others wait."""
        if self.store is None:
            ensure_rooms(self.rooms, Path(self.root).expanduser())
            ensure_first_version(self.rooms, Path(self.root).expanduser())

    @cached_property
    def folder(self) -> Path:
        """The rendered second version's folder in the cache."""
        return ensure_rooms(self.rooms, Path(self.root).expanduser())

    @cached_property
    def v1_folder(self) -> Path:
        """The rendered first version's."""
        return ensure_first_version(self.rooms, Path(self.root).expanduser())


def ensure_first_version(parameters: RoomsParameters, cache: Path) -> Path:
    """Folder that holds v1's labelled file, rendered where it is not there yet; it appears whole, by a rename.

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
