"""Rooms kept in HyperSim's layout."""

from collections.abc import Iterator
from pathlib import Path

from datamodules.rooms.data_root import FilmedScenes
from datamodules.rooms.dataset import RoomsLayout, RoomsParameters, scene_infos
from datamodules.rooms.layouts import FilmedScene, write_hypersim


def write_filmed(folder: Path, parameters: RoomsParameters, filmed: Iterator[FilmedScene]) -> None:
    """Write the scenes, the camera table and the split, into an existing folder."""
    write_hypersim(folder, scene_infos(parameters), filmed)


HYPERSIM_LAYOUT = RoomsLayout("-hypersim", FilmedScenes, write_filmed)
