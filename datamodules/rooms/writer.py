"""Writes frames in the format of ``nyu_depth_v2_labeled.mat``, ``splits.mat`` and NYUv2-OC++."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from datamodules.files import ROOMS_MARKER
from datamodules.nyuv2.labeled_format import (
    CLASS_MAPPING_FILE,
    LABELED_FILE,
    NUMERIC_KEYS,
    SPLITS_FILE,
    USER_BLOCK_BYTES,
)
from datamodules.rooms.furniture_classes import rooms_names, rooms_nyu40
from datamodules.rooms.renderer import RenderedScene

#: Where NYUv2-OC++ keeps its maps, below the folder of the data set.
OCCLUSION_FOLDER = Path("nyuv2_oc") / "NYUv2_OCpp" / "oc"

#: Classes whose surfaces an infrared sensor does not see: window, mirror, television.
_INVISIBLE_CLASSES = (9, 19, 25)

#: Rows and columns along the border without measured depth, as shares of height and width, as in NYUv2.
_BORDER = (0.085, 0.05)


@dataclass(frozen=True)
class SceneInfo:
    """What a frame's scene is called.

    Attributes:
        name: as NYUv2 names scenes, ``kitchen_0004``.
        scene_type: ``kitchen``.
        is_test: part of the split.
    """

    name: str
    scene_type: str
    is_test: bool


def write_data_set(
    folder: Path,
    scenes: Sequence[SceneInfo],
    rendered: Iterator[RenderedScene],
    frames: int,
    size: tuple[int, int],
    *,
    occlusion: bool = True,
) -> None:
    """Write the labelled file, the split, the class mapping and the occlusion boundaries, scene by scene.

    Args:
        folder: existing folder.
        scenes: all scenes, in order.
        rendered: their frames, in the same order, ``frames`` each.
        frames: of each scene.
        size: height and width.
        occlusion: whether to write the boundaries, of training frames too, in NYUv2-OC++'s layout.

    Raises:
        ValueError: if a class has more instances in a frame than the format can count.
        OSError: if writing fails; what was written is then of no use.
    """
    path = folder / LABELED_FILE
    if occlusion:
        (folder / OCCLUSION_FOLDER).mkdir(parents=True)
    with h5py.File(path, "w", userblock_size=USER_BLOCK_BYTES, libver="earliest") as file:
        _create(file, len(scenes) * frames, size)
        _write_cells(file, scenes, frames)
        for number, (scene, images) in enumerate(zip(scenes, rendered, strict=True)):
            first = number * frames
            _write_scene(file, first, images, scene.name)
            if occlusion:
                _write_occlusion(folder, first, images)
    _write_user_block(path)
    _write_splits(folder / SPLITS_FILE, scenes, frames)
    write_marker(folder, "NYU Depth v2")
    savemat(folder / CLASS_MAPPING_FILE, {"mapClass": rooms_nyu40()[None, 1:]})


def write_marker(folder: Path, original: str) -> None:
    """Write what a folder in another data set's format really holds, for data modules to read."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ROOMS_MARKER).write_text(f"Rooms: rendered by segdepth, not {original}.\n", encoding="utf-8")


def _create(file: h5py.File, count: int, size: tuple[int, int]) -> None:
    height, width = size
    for key, (dtype, matlab_class) in NUMERIC_KEYS.items():
        shape: tuple[int, ...] = (count, width, height)
        if key == "images":
            shape = (count, 3, width, height)
        elif key == "accelData":
            shape = (4, count)
        chunks = None if key == "accelData" else (1, *shape[1:])
        dataset = file.create_dataset(key, shape, dtype, chunks=chunks, compression="gzip" if chunks else None)
        dataset.attrs["MATLAB_class"] = np.bytes_(matlab_class)


def _write_scene(file: h5py.File, first: int, images: RenderedScene, name: str) -> None:
    if images.instances.max() > np.iinfo(np.uint8).max:
        raise ValueError(f"scene {name}: {int(images.instances.max())} instances of a class, the format counts to 255")
    rows = slice(first, first + len(images.depth))
    depth, labels = images.depth.cpu().numpy(), images.labels.cpu().numpy()
    raw = measured_depth(depth, labels, images.occlusion.cpu().numpy())
    file["images"][rows] = images.rgb.cpu().numpy().transpose(0, 3, 2, 1)  # MATLAB's axes, reversed
    file["depths"][rows] = depth.transpose(0, 2, 1)
    file["rawDepths"][rows] = raw.transpose(0, 2, 1)
    file["labels"][rows] = labels.transpose(0, 2, 1)
    file["instances"][rows] = images.instances.cpu().numpy().transpose(0, 2, 1)


def measured_depth(
    depth: NDArray[np.float32], labels: NDArray[np.int64], occlusion: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return what a structured-light sensor would measure: depth (F, H, W) with 0 where it sees nothing.

    Holes are the border that projection into the colour camera leaves, glass and mirrors, and the shadow that a near
    object casts on what lies behind it, on the side away from the projector.
    """
    height, width = depth.shape[1:]
    border_y, border_x = round(_BORDER[0] * height), round(_BORDER[1] * width)
    seen = np.zeros(depth.shape, dtype=bool)
    seen[:, border_y : height - border_y, border_x : width - border_x] = True
    seen &= ~np.isin(rooms_nyu40()[labels], _INVISIBLE_CLASSES)
    shadow = np.zeros(depth.shape, dtype=bool)
    for step in range(1, max(2, width // 100) + 1):
        shadow[:, :, step:] |= occlusion[:, :, :-step] & (depth[:, :, step:] > 1.05 * depth[:, :, :-step])
    return np.where(seen & ~shadow, depth, np.float32(0))


def _write_occlusion(folder: Path, first: int, images: RenderedScene) -> None:
    for offset, boundary in enumerate(images.occlusion.cpu().numpy()):
        path = folder / OCCLUSION_FOLDER / f"{first + offset:04d}_oc.png"
        if not cv2.imwrite(str(path), boundary.astype(np.uint8) * 255):
            raise OSError(f"{path} cannot be written")


def _write_cells(file: h5py.File, scenes: Sequence[SceneInfo], frames: int) -> None:
    per_frame = [(scene, frame) for scene in scenes for frame in range(frames)]
    cells = {
        "names": rooms_names(),
        "scenes": [scene.name for scene, _ in per_frame],
        "sceneTypes": [scene.scene_type for scene, _ in per_frame],
        "rawDepthFilenames": [f"rooms/{scene.name}/d-{frame:04d}.pgm" for scene, frame in per_frame],
        "rawRgbFilenames": [f"rooms/{scene.name}/r-{frame:04d}.ppm" for scene, frame in per_frame],
    }
    targets = file.create_group("#refs#")
    for key, texts in cells.items():
        references = np.empty((1, len(texts)), dtype=h5py.ref_dtype)
        known: dict[str, Any] = {}  # frames of a scene share the text, as cells in MATLAB do
        for column, text in enumerate(texts):
            if text not in known:
                characters = np.array([[ord(letter)] for letter in text], dtype=np.uint16)
                target = targets.create_dataset(f"{key}_{column}", data=characters)
                target.attrs["MATLAB_class"] = np.bytes_("char")
                known[text] = target.ref
            references[0, column] = known[text]
        file.create_dataset(key, data=references, dtype=h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")


def _write_user_block(path: Path) -> None:
    """The 512 bytes that make the file MATLAB 7.3's: text, no subsystem, version, byte order."""
    text = b"MATLAB 7.3 MAT-file, Platform: segdepth, Rooms: rendered, not NYU Depth v2. HDF5 schema 1.00 ."
    header = text.ljust(116) + bytes(8) + (0x0200).to_bytes(2, "little") + b"IM"
    with path.open("r+b") as file:
        file.write(header.ljust(USER_BLOCK_BYTES, b"\0"))


def _write_splits(path: Path, scenes: Sequence[SceneInfo], frames: int) -> None:
    is_test = np.repeat([scene.is_test for scene in scenes], frames)
    parts = {"trainNdxs": ~is_test, "testNdxs": is_test}
    savemat(path, {key: (np.flatnonzero(mask) + 1).astype(np.uint16)[:, None] for key, mask in parts.items()})
