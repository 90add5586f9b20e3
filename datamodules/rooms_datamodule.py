"""Rooms, the built-in synthetic set: rendered once into a cache, then read as NYUv2 is."""

from functools import cached_property
from pathlib import Path
from typing import Any

from datamodules.cache import cache_folder
from datamodules.nyuv2_oc import NYUv2OCDataModule
from datamodules.rooms import RoomsParameters, ensure_rooms


class RoomsDataModule(NYUv2OCDataModule):
    """Procedural indoor scenes in the format of NYUv2 and NYUv2-OC++. Its figures say nothing about NYUv2.

    Args:
        root: cache folder; None takes ``SEGDEPTH_CACHE``, else ``XDG_CACHE_HOME/segdepth``, else ``~/.cache/segdepth``.
        rooms: what is rendered; each set of parameters has a folder of its own in the cache.
        kwargs: of :class:`NYUv2OCDataModule`.
    """

    data_set = "rooms"

    def __init__(self, root: str | None = None, *, rooms: RoomsParameters | None = None, **kwargs: Any):
        super().__init__(str(cache_folder()) if root is None else root, **kwargs)
        self.rooms = rooms or RoomsParameters()

    @property
    def name(self) -> str:  # type: ignore[override]  # as in the base class
        """Rooms, in whatever format."""
        return self.data_set

    @property
    def options(self) -> dict[str, Any]:
        """Arguments that shape frames and splits."""
        return {**super().options, "rooms": vars(self.rooms)}

    def prepare_data(self) -> None:
        """Render what is not there yet; Lightning calls this in one process per machine, while the others wait."""
        super().prepare_data()
        if self.store is None:
            ensure_rooms(self.rooms, Path(self.root).expanduser())

    @cached_property
    def folder(self) -> Path:
        """The rendered set's folder in the cache."""
        return ensure_rooms(self.rooms, Path(self.root).expanduser())

    @cached_property
    def boundary_folder(self) -> Path:
        """Where the boundary maps of the test frames are."""
        return self.folder / "nyuv2_oc"
