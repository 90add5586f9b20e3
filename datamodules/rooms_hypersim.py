"""Rooms in HyperSim's format: what stands in for HyperSim where no data is."""

from functools import cached_property
from pathlib import Path
from typing import Any

from datamodules.cache import cache_folder
from datamodules.hypersim import HyperSimDataModule
from datamodules.rooms import RoomsParameters, ensure_rooms
from datamodules.rooms.hypersim_set import HYPERSIM_LAYOUT


class RoomsHyperSimDataModule(HyperSimDataModule):
    """Procedural indoor scenes, filmed with HyperSim's cameras and kept in its format; named ``rooms_hypersim``.

    By default none of the scenes is one of :class:`~datamodules.RoomsDataModule`'s: each is drawn from another seed.

    Args:
        root: cache folder; None takes ``SEGDEPTH_CACHE``, else ``XDG_CACHE_HOME/segdepth``, else ``~/.cache/segdepth``.
        rooms: what is rendered; each set of parameters has a folder of its own in the cache.
        kwargs: of :class:`HyperSimDataModule`.
    """

    def __init__(self, root: str | None = None, *, rooms: RoomsParameters | None = None, **kwargs: Any):
        super().__init__(str(cache_folder()) if root is None else root, **kwargs)
        self.rooms = rooms or RoomsParameters(seed=1)

    @property
    def name(self) -> str:  # type: ignore[override]  # as in the base class
        """Rooms, and whose format."""
        return f"rooms_{self.data_set}"

    @property
    def options(self) -> dict[str, Any]:
        """Arguments that shape frames and splits."""
        return {**super().options, "rooms": vars(self.rooms)}

    def prepare_data(self) -> None:
        """Render what is not there yet; Lightning calls this in one process per machine, while the others wait."""
        super().prepare_data()
        if self.store is None:
            self._render()

    @cached_property
    def folder(self) -> Path:
        """The rendered set's folder in the cache."""
        return self._render()

    def _render(self) -> Path:
        return ensure_rooms(self.rooms, Path(self.root).expanduser(), layout=HYPERSIM_LAYOUT)
