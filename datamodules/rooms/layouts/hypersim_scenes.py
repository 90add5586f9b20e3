"""HyperSim's layout: HDF5 files of half precision per modality, Euclidean distances, one camera matrix per scene.

Roberts, Ramapuram, Ranjan, Kumar, Bautista, Paczan, Webb, Susskind, "Hypersim: A Photorealistic Synthetic Dataset for
Holistic Indoor Scene Understanding", ICCV 2021, and the README of apple/ml-hypersim.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from datamodules.hypersim.tonemap import tonemap
from datamodules.rooms.camera import Pose
from datamodules.rooms.furniture_classes import rooms_nyu40
from datamodules.rooms.layouts.film import FLIP, FilmedScene, camera_matrix_to_uv, euclidean
from datamodules.rooms.layouts.frame_arrays import write_image
from datamodules.rooms.writer import SceneInfo, write_marker

SPLIT_TABLE = "metadata_images_split_scene_v1.csv"
CAMERA_TABLE = "metadata_camera_parameters.csv"
CAMERA = "cam_00"

#: Metres in a scene's own unit, in turn: HyperSim's artists worked in inches and in centimetres.
METRES_PER_UNIT = (0.0254, 0.01)

#: NYU40 ids that are no instances: wall, floor, ceiling.
_STRUCTURE = (1, 2, 22)

#: Rows and columns of the first frame of all that see no surface.
_BACKGROUND = (slice(0, 2), slice(0, 3))

_SPLIT_HEADER = (
    "scene_name",
    "camera_name",
    "frame_id",
    "included_in_public_release",
    "exclude_reason",
    "split_partition_name",
)
_CAMERA_HEADER = (
    "scene_name",
    "settings_output_img_height",
    "settings_output_img_width",
    "settings_units_info_meters_scale",
    *(f"M_cam_from_uv_{row}{column}" for row in range(3) for column in range(3)),
)


def write_hypersim(folder: Path, scenes: Sequence[SceneInfo], filmed: Iterable[FilmedScene]) -> None:
    """Write the scenes, the camera table and the split.

    The last training scene is the partition ``val`` where there are two or more. The split lists one more frame of the
    first scene, which was never released and has no files. In the first frame six pixels see no surface.

    Args:
        folder: root of the tree.
        scenes: all scenes, in order; they are renamed ``ai_VVV_NNN``.
        filmed: their frames, in the same order.

    Raises:
        OSError: if a file cannot be written.
    """
    write_marker(folder, "HyperSim")
    split: list[Sequence[object]] = []
    cameras: list[Sequence[object]] = []
    for number, (part, take) in enumerate(zip(_partitions(scenes), filmed, strict=True)):
        name, unit = scene_name(number), METRES_PER_UNIT[number % len(METRES_PER_UNIT)]
        frames, height, width = take.images.depth.shape
        _write_trajectory(folder / name / "_detail", take.walk, unit)
        _write_frames(folder / name / "images", take, has_background=number == 0)
        split += [(name, CAMERA, frame, True, "", part) for frame in range(frames)]
        if number == 0:
            split.append((name, CAMERA, frames, False, "OUTSIDE VIEWING AREA (BAD INITIALIZATION)", ""))
        matrix = camera_matrix_to_uv(take.camera, height, width)
        cameras.append((name, float(height), float(width), unit, *matrix.ravel().tolist()))
    _write_table(folder / SPLIT_TABLE, _SPLIT_HEADER, split)
    _write_table(folder / CAMERA_TABLE, _CAMERA_HEADER, cameras)


def scene_name(number: int) -> str:
    """Return HyperSim's kind of name for the 0-based scene ``number``: volume and scene, both counted from 1."""
    return f"ai_{number // 10 + 1:03d}_{number % 10 + 1:03d}"


def _partitions(scenes: Sequence[SceneInfo]) -> list[str]:
    parts = ["test" if scene.is_test else "train" for scene in scenes]
    if parts.count("train") > 1:
        parts[len(parts) - 1 - parts[::-1].index("train")] = "val"
    return parts


def _write_trajectory(folder: Path, walk: Sequence[Pose], unit: float) -> None:
    """Positions (F, 3) in the scene's units and orientations (F, 3, 3), their columns right, up, backward."""
    positions = np.stack([view.position.cpu().numpy() for view in walk]).astype(np.float64)
    rotations = np.stack([view.rotation.cpu().numpy() for view in walk]).astype(np.float64)
    place = folder / CAMERA
    place.mkdir(parents=True, exist_ok=True)
    for kind, values in (("positions", positions / unit), ("orientations", rotations @ FLIP)):
        with h5py.File(place / f"camera_keyframe_{kind}.hdf5", "w") as file:
            file.create_dataset("dataset", data=values)
    parameters = ("parameter_name", "parameter_value")
    _write_table(folder / "metadata_scene.csv", parameters, [("meters_per_asset_unit", unit)])
    _write_table(folder / "metadata_cameras.csv", ("camera_name",), [(CAMERA,)])


def _write_frames(folder: Path, take: FilmedScene, *, has_background: bool) -> None:
    """Colour, tone-mapped preview and geometry of all frames of a scene."""
    valid = np.ones(take.images.depth.shape, dtype=bool)
    if has_background:
        valid[(0, *_BACKGROUND)] = False
    colour = take.images.radiance.cpu().numpy().astype(np.float16)
    geometry = _geometry(take, valid)
    for frame in range(len(valid)):
        stem = f"frame.{frame:04d}"
        _write_hdf5(folder / f"scene_{CAMERA}_final_hdf5" / f"{stem}.color.hdf5", colour[frame])
        preview = tonemap(colour[frame].astype(np.float32), valid[frame])
        write_image(folder / f"scene_{CAMERA}_final_preview" / f"{stem}.tonemap.jpg", preview)
        for modality, values in geometry.items():
            _write_hdf5(folder / f"scene_{CAMERA}_geometry_hdf5" / f"{stem}.{modality}.hdf5", values[frame])


def _geometry(take: FilmedScene, valid: NDArray[np.bool_]) -> dict[str, NDArray[np.float16] | NDArray[np.int16]]:
    """(F, H, W) per modality; not-a-number or -1 where no surface is seen."""
    labels, instances = take.images.labels.cpu().numpy(), take.images.instances.cpu().numpy()
    objects = labels * (instances.max() + 1) + instances
    semantic = rooms_nyu40()[labels].astype(np.int16)
    labelled = valid & (semantic > 0)
    distance = euclidean(take.images.depth.cpu().numpy(), take.camera)
    return {
        "depth_meters": np.where(valid, distance, np.nan).astype(np.float16),
        "semantic": np.where(labelled, semantic, np.int16(-1)),
        "semantic_instance": _numbered(objects, labelled & ~np.isin(semantic, _STRUCTURE)),
        "render_entity_id": _numbered(objects, valid),
    }


def _numbered(objects: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Objects renumbered from 1 without gaps; -1 where not ``chosen``."""
    known = np.unique(objects[chosen])
    return np.where(chosen, np.searchsorted(known, objects) + 1, -1).astype(np.int16)


def _write_hdf5(path: Path, values: NDArray[np.float16] | NDArray[np.int16]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("dataset", data=values, compression="gzip", compression_opts=9)


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
