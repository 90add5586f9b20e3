"""One good, tiny data set in every layout; a test breaks a copy of it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from datamodules import (
    DepthDataModule,
    HyperSimDataModule,
    IBimsDataModule,
    NYUFusedDataModule,
    NYUv2DataModule,
    NYUv2OCDataModule,
    NYUv2RawDataModule,
)
from datamodules.nyuv2.labeled_format import LABELED_FILE, V1_FILE
from datamodules.rooms import build_scene, render_scene
from datamodules.rooms.layouts import (
    film_scene,
    write_bts,
    write_hypersim,
    write_ibims,
    write_marigold,
    write_occlusion,
)
from datamodules.rooms.walk import camera_walk
from datamodules.rooms.writer import SceneInfo, write_data_set
from datamodules.storage.store import StorePlan, write_store

HEIGHT, WIDTH, FRAMES = 48, 64, 2
SCENES = [
    SceneInfo("bedroom_0000", "bedroom", is_test=False),
    SceneInfo("living_room_0001", "living_room", is_test=True),
    SceneInfo("dining_room_0003", "dining_room", is_test=False),
]
SMALL = {"crop": (32, 32), "eval_size": None, "num_workers": 0, "batch_size": 2, "eval_batch_size": 2}

#: Data module of each layout, its root below the layout's folder, and its options.
LAYOUTS = {
    "labeled": (NYUv2DataModule, "nyuv2", {}),
    "bts": (NYUv2DataModule, "nyuv2", {}),
    "marigold": (NYUv2DataModule, "nyuv2", {}),
    "oc": (NYUv2OCDataModule, "nyuv2", {}),
    "hypersim": (HyperSimDataModule, "hypersim", {}),
    "preview": (HyperSimDataModule, "hypersim", {"color": "preview", "labels": False}),
    "ibims_mat": (IBimsDataModule, "ibims1", {"layout": "mat"}),
    "ibims_png": (IBimsDataModule, "ibims1", {"layout": "png"}),
    "raw": (NYUv2RawDataModule, "raw", {"register": False}),
    "fused": (NYUFusedDataModule, "nyuv2", {}),
    "store": (NYUv2DataModule, "nyuv2", {"store": "store"}),
}


@dataclass(frozen=True)
class Layout:
    """A copy of a data set, to be broken."""

    name: str
    folder: Path

    def module(self, **options) -> DepthDataModule:
        """A new data module on it."""
        kind, root, own = LAYOUTS[self.name]
        own = dict(own)
        if "store" in own:
            own["store"] = str(self.folder / own["store"])
        if self.name == "fused":
            own["split_file"] = str(self.folder / "split.csv")
        return kind(str(self.folder / root), **{**SMALL, **own, **options})

    def file(self, pattern: str) -> Path:
        """The last file that a pattern finds, which for files of frames is not the first frame's."""
        return sorted(self.folder.glob(pattern))[-1]


def build_scenes():
    """Each scene with its camera walk."""
    scenes = [build_scene(info.scene_type, 0, number) for number, info in enumerate(SCENES)]
    return [(scene, camera_walk(scene, FRAMES, 0, number)) for number, scene in enumerate(scenes)]


@pytest.fixture(scope="session")
def built():
    return build_scenes()


@pytest.fixture(scope="session")
def originals(built, tmp_path_factory):
    return write_layouts(tmp_path_factory.mktemp("layouts"), built)


def write_layouts(root, built):
    """Write every layout of :data:`LAYOUTS` into a folder of its name."""
    rendered = [
        render_scene(scene, walk, HEIGHT, WIDTH, supersampling=1, seed=n) for n, (scene, walk) in enumerate(built)
    ]
    filmed = [film_scene(scene, walk, n, HEIGHT, WIDTH, supersampling=1) for n, (scene, walk) in enumerate(built)]
    for name in ("labeled", "bts", "marigold", "oc", "fused", "store"):
        (root / name / "nyuv2").mkdir(parents=True)
    write_data_set(root / "labeled/nyuv2", SCENES, iter(rendered), FRAMES, (HEIGHT, WIDTH))
    for name in ("oc", "fused", "store"):
        shutil.copytree(root / "labeled/nyuv2", root / name / "nyuv2", dirs_exist_ok=True)
    (root / "fused/nyuv1").mkdir()
    shutil.copy(root / "fused/nyuv2" / LABELED_FILE, root / "fused/nyuv1" / V1_FILE)
    write_occlusion(root / "oc/nyuv2_oc", SCENES, rendered)
    write_bts(root / "bts/nyuv2", SCENES, rendered)
    write_marigold(root / "marigold/nyuv2", SCENES, rendered)
    write_hypersim(root / "hypersim/hypersim", SCENES, filmed)
    shutil.copytree(root / "hypersim", root / "preview")
    write_ibims(root / "ibims_mat/ibims1", SCENES, rendered)
    shutil.copytree(root / "ibims_mat", root / "ibims_png")
    write_video(root / "raw/raw")
    convert(Layout("labeled", root / "labeled").module(), root / "store/store")
    return root


def write_video(root):
    codes, picture = np.full((480, 640), 900, dtype="<u2"), np.full((480, 640, 3), 90, dtype=np.uint8)
    for scene in ("den_0001", "study_0001"):
        (root / scene).mkdir(parents=True)
        (root / scene / "d-1.0-1.pgm").write_bytes(b"P5 640 480 65535\n" + codes.tobytes())
        (root / scene / "r-1.0-1.ppm").write_bytes(b"P6 640 480 255\n" + picture.tobytes())


def convert(module, folder):
    parts = {name: [int(n) for n in positions] for name, positions in vars(module.splits).items()}
    plan = StorePlan(module.name, module.reader.identity, module.all_options, parts)
    for _ in write_store(module.reader, folder, plan):
        pass


@pytest.fixture
def layout(originals, tmp_path):
    """A function that gives a fresh copy of a layout."""

    def copy(name, folder="data"):
        return Layout(name, Path(shutil.copytree(originals / name, tmp_path / folder)))

    return copy
