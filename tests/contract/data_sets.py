"""Every data module at its smallest, on files that the suite's own writers made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datamodules import (
    DepthDataModule,
    FolderDataModule,
    RegionSupportTarget,
    RoomsDataModule,
    RoomsFusedDataModule,
    RoomsHyperSimDataModule,
)
from datamodules.rooms import RoomsParameters
from tests.faults.conftest import LAYOUTS, SMALL, Layout
from tests.helpers.own_frames import save, write_frames

ROOMS = RoomsParameters(
    height=48, width=64, train_scenes=4, test_scenes=1, frames_per_scene=2, supersampling=1
)  # the fused set's first version has a quarter as many scenes

#: The docs' own, which is not imported before it is written.
DOCUMENTED = "scene_folders"

#: A folder of frames of one's own.
OWN = "folder"

#: Names of data sets: the layouts, Rooms in each format, and the example of the docs.
DATA_SETS = (*LAYOUTS, "rooms", "rooms_hypersim", "rooms_fused", OWN, DOCUMENTED)


def make(name: str, layouts: Path, rooms: Path, **options: Any) -> DepthDataModule:
    """Build a data module.

    Args:
        name: of :data:`DATA_SETS`.
        layouts: folder with a folder for each layout.
        rooms: folder that Rooms are rendered into.
        options: of the data module.
    """
    options = {**SMALL, **options}
    if name in LAYOUTS:
        return Layout(name, layouts / name).module(**options)
    if name == OWN:
        return FolderDataModule(str(write_own_folder(layouts / name)), **options)
    if name == DOCUMENTED:
        from scene_folders import SceneFolders

        return SceneFolders(str(write_scene_folders(layouts / name)), focal_length=60.0, **options)
    kinds: dict[str, Callable[..., DepthDataModule]] = {
        "rooms": RoomsDataModule,
        "rooms_hypersim": RoomsHyperSimDataModule,
        "rooms_fused": RoomsFusedDataModule,
    }
    if name == "rooms_fused":
        options["frame_maps"] = [RegionSupportTarget()]
    return kinds[name](str(rooms), rooms=ROOMS, **options)


def write_own_folder(root: Path) -> Path:
    """Write three scenes with all maps that a folder may have, and the `dataset.yaml` that describes them."""
    write_frames(root, classes=["wall", "chair"], splits={"train": ["attic", "cellar"], "test": ["hall"]})
    for number, image in enumerate(sorted(root.glob("rgb/*/*.png"))):
        ids = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) // 500
        for kind, values in (("semantics", (ids + number) % 3), ("instances", ids), ("masks", ids < 6)):
            save(root / kind / image.relative_to(root / "rgb"), values.astype(np.uint16 if kind != "masks" else bool))
    return root


def write_scene_folders(root: Path) -> Path:
    """Write what the docs' example reads: two frames in each of three scenes, of which one tests."""
    random = np.random.default_rng(0)
    for scene in ("attic", "cellar", "hall"):
        (root / scene).mkdir(parents=True, exist_ok=True)
        for frame in range(2):
            depth = random.integers(500, 9000, (48, 64)).astype(np.uint16)
            depth[:4] = 0  # a hole
            cv2.imwrite(str(root / scene / f"{frame:04d}_depth.png"), depth)
            cv2.imwrite(str(root / scene / f"{frame:04d}_rgb.png"), random.integers(0, 256, (48, 64, 3), np.uint8))
    (root / "test.txt").write_text("hall\n")
    return root
