"""Rooms, the built-in synthetic set: rendered once into a cache, then read as NYUv2 is."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any

from datamodules.nyuv2 import NYUv2DataModule
from datamodules.rooms import RoomsParameters, ensure_rooms


class RoomsDataModule(NYUv2DataModule):
    """Procedural indoor scenes in NYUv2's format. Its figures say nothing about NYUv2.

    Args:
        root: cache folder; None takes ``SEGDEPTH_CACHE``, else ``XDG_CACHE_HOME/segdepth``, else ``~/.cache/segdepth``.
        rooms: what is rendered; each set of parameters has a folder of its own in the cache.
        kwargs: of :class:`NYUv2DataModule`.
    """

    name = "rooms"

    def __init__(self, root: str | None = None, *, rooms: RoomsParameters | None = None, **kwargs: Any):
        super().__init__(str(cache_folder()) if root is None else root, **kwargs)
        self.rooms = rooms or RoomsParameters()

    def prepare_data(self) -> None:
        """Render what is not there yet; Lightning calls this in one process per machine, while the others wait."""
        ensure_rooms(self.rooms, Path(self.root).expanduser())

    @cached_property
    def folder(self) -> Path:
        """The rendered set's folder in the cache."""
        return ensure_rooms(self.rooms, Path(self.root).expanduser())

    def describe(self) -> dict[str, Any]:
        """What is read and how, as plain JSON."""
        return {**super().describe(), "synthetic": True}


def cache_folder() -> Path:
    """Where rendered sets are kept between runs."""
    if cache := os.environ.get("SEGDEPTH_CACHE"):
        return Path(cache)
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "segdepth"
