"""Rooms, the built-in synthetic set: rendered once into a cache, then read as the set whose format it is in."""

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from datamodules.base import DepthDataModule
from datamodules.hypersim.hypersim_datamodule import HyperSimDataModule
from datamodules.nyuv2.nyuv2_oc import NYUv2OCDataModule
from datamodules.rooms import RoomsParameters, ensure_rooms
from datamodules.rooms.dataset import NYUV2_FORMAT, RoomsFormat
from datamodules.rooms.filmed import HYPERSIM_FORMAT
from datamodules.storage.cache import cache_folder


class CachedRooms(DepthDataModule):
    """What the data modules of Rooms share: they render what is not there yet.

    Args:
        root: cache folder; None takes ``SEGDEPTH_CACHE``, else ``XDG_CACHE_HOME/segdepth``, else ``~/.cache/segdepth``.
        rooms: what is rendered; each set of parameters has a folder of its own in the cache.
        kwargs: of the data set whose format it is.
    """

    #: Format that they are written in.
    form: ClassVar[RoomsFormat]

    def __init__(self, root: str | None = None, *, rooms: RoomsParameters | None = None, **kwargs: Any):
        super().__init__(str(cache_folder()) if root is None else root, **kwargs)
        self.rooms = rooms or RoomsParameters()

    @property
    def all_options(self) -> dict[str, Any]:
        """Return everything that shapes frames and splits, as plain JSON."""
        return {**super().all_options, "rooms": vars(self.rooms)}

    def prepare_data(self) -> None:
        """Render what is not there yet; Lightning calls this in one process per machine, while the others wait."""
        super().prepare_data()
        if self.store is None:
            ensure_rooms(self.rooms, Path(self.root).expanduser(), form=self.form)

    @cached_property
    def folder(self) -> Path:
        """Return the rendered set's folder in the cache."""
        return ensure_rooms(self.rooms, Path(self.root).expanduser(), form=self.form)


class RoomsDataModule(CachedRooms, NYUv2OCDataModule):
    """Procedural indoor scenes in the format of NYUv2 and NYUv2-OC++. Its metrics say nothing about NYUv2.

    Args:
        root: see :class:`CachedRooms`.
        rooms: what is rendered, see :class:`CachedRooms`.
        kwargs: of :class:`NYUv2OCDataModule`.
    """

    data_set = "rooms"
    form = NYUV2_FORMAT

    @property
    def claimed_name(self) -> str:
        """Return Rooms, in whatever format."""
        return self.data_set

    @cached_property
    def boundary_folder(self) -> Path:
        """Return the folder of the boundary maps of the test frames."""
        return self.folder / "nyuv2_oc"


class RoomsHyperSimDataModule(CachedRooms, HyperSimDataModule):
    """Procedural indoor scenes in the format of HyperSim, `rooms_hypersim`. Its metrics say nothing about HyperSim.

    Args:
        root: see :class:`CachedRooms`.
        rooms: what is rendered, see :class:`CachedRooms`.
        kwargs: of :class:`HyperSimDataModule`.
    """

    form = HYPERSIM_FORMAT
