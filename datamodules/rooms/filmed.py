"""Rooms seen through HyperSim's cameras, and written in its format."""

from collections.abc import Iterator
from pathlib import Path

from datamodules.rooms.dataset import RoomsFormat, RoomsParameters, Scenes, build, scene_infos
from datamodules.rooms.layouts import FilmedScene, film_scene, write_hypersim


class FilmedScenes(Scenes[FilmedScene]):
    """Scenes filmed with HyperSim's cameras on access."""

    def __getitem__(self, index: int) -> FilmedScene:
        """Return all frames of scene ``index``."""
        p = self.parameters
        scene, walk = build(p, index)
        return film_scene(
            scene, walk, index, p.height, p.width, supersampling=p.supersampling, seed=p.seed, device=self.device
        )


def _write(folder: Path, parameters: RoomsParameters, filmed: Iterator[FilmedScene]) -> None:
    write_hypersim(folder, scene_infos(parameters), filmed)


#: Scenes ``ai_*`` and the metadata tables.
HYPERSIM_FORMAT = RoomsFormat("-hypersim", FilmedScenes, _write)
