"""iBims-1 in both its layouts: a MATLAB file per frame, and PNG files.

Koch, Liebel, Fraundorfer, Koerner, "Evaluation of CNN-based Single-Image Depth Estimation Methods", ECCV Workshops
2018. The camera follows MATLAB, as the authors' evaluation script reads it: transposed, (fx 0 0; 0 fy 0; cx cy 1), and
with pixel centres that count from 1.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from datamodules.nyuv2.labeled_format import intrinsics
from datamodules.rooms.furniture_classes import rooms_nyu40
from datamodules.rooms.layouts.frame_arrays import Frame, each_frame, write_image, write_lines
from datamodules.rooms.layouts.marked_planes import Planes, find_planes, tangents
from datamodules.rooms.renderer import RenderedScene
from datamodules.rooms.writer import SceneInfo, write_marker

MAT_FOLDER, RAW_FOLDER, LIST = "ibims1_core_mat", "ibims1_core_raw", "imagelist.txt"

#: Metres that the largest 16-bit value of a depth PNG stands for.
RAW_RANGE = 50.0

#: NYU40 ids of glass, and of what iBims-1 marks planes on.
_TRANSPARENT = (9, 19)
_WALLS, _FLOORS, _TABLES = (1,), (2,), (7, 14)

#: Least share of "up" in the normal of a table top; no camera walk looks down so steeply that a leg has as much.
_LEVEL = 0.7


def write_ibims(folder: Path, scenes: Sequence[SceneInfo], rendered: Iterable[RenderedScene]) -> None:
    """Write the test frames, named ``<type>_NN``, and ``imagelist.txt``.

    Args:
        folder: root of the tree.
        scenes: all scenes, in order; those to train on are passed over.
        rendered: their frames in the same order, of NYUv2's camera.

    Raises:
        OSError: if a file cannot be written.
    """
    write_marker(folder, "iBims-1")
    (folder / MAT_FOLDER).mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    names = []
    for frame in each_frame(scenes, rendered):
        if frame.scene.is_test:
            kind = frame.scene.scene_type.replace("_", "")
            counts[kind] += 1
            names.append(f"{kind}_{counts[kind]:02d}")
            _write_frame(folder, names[-1], frame)
    write_lines(folder / LIST, names)


def _write_frame(folder: Path, name: str, frame: Frame) -> None:
    camera = intrinsics(*frame.depth.shape).astype(np.float64)
    images = _images(frame)
    calibration = camera.T.copy()
    calibration[2, :2] += 1
    data = {"rgb": frame.rgb, **images, "calib": calibration, **_planes(frame, camera)}
    savemat(folder / MAT_FOLDER / f"{name}.mat", {"data": data}, do_compression=True)

    raw = folder / RAW_FOLDER
    write_image(raw / "rgb" / f"{name}.png", frame.rgb)
    codes = np.round(images["depth"] * (np.iinfo(np.uint16).max / RAW_RANGE)).astype(np.uint16)
    write_image(raw / "depth" / f"{name}.png", codes)
    for key in ("edges", "mask_invalid", "mask_transp"):
        write_image(raw / key / f"{name}.png", images[key].astype(np.uint8) * 255)
    fx, fy, (cx, cy) = calibration[0, 0], calibration[1, 1], calibration[2, :2]
    write_lines(raw / "calib" / f"{name}.txt", [f"{fx},{fy},{cx},{cy}"])


def _images(frame: Frame) -> dict[str, NDArray[np.float64] | NDArray[np.uint8]]:
    """Depth, 0 = missing, occlusion boundaries, and the masks, 1 = keep.

    Glass has a depth that ``mask_transp`` rules out; around missing depth, ``mask_invalid`` rules out a ring as well,
    where a laser beam meets two surfaces.
    """
    opaque = ~np.isin(rooms_nyu40()[frame.labels], _TRANSPARENT)
    present = (frame.measured > 0) | ~opaque
    inner = cv2.erode(present.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.uint8)
    return {
        "depth": np.where(present, frame.depth, 0).astype(np.float64),
        "edges": frame.occlusion.astype(np.uint8),
        "mask_invalid": inner,
        "mask_transp": opaque.astype(np.uint8),
    }


def _planes(frame: Frame, camera: NDArray[np.float64]) -> dict[str, NDArray[np.float64] | NDArray[np.uint8]]:
    """Per kind, the mask of plane ids and the planes' parameters."""
    classes = rooms_nyu40()[frame.labels]
    rows, columns = np.indices(frame.depth.shape)
    points = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(camera).T * frame.depth[..., None]
    level = np.abs(tangents(points)[..., 1]) > _LEVEL
    masks = {
        "mask_wall": np.isin(classes, _WALLS),
        "mask_table": np.isin(classes, _TABLES) & level,
        "mask_floor": np.isin(classes, _FLOORS),
    }
    content: dict[str, NDArray[np.float64] | NDArray[np.uint8]] = {}
    for key, mask in masks.items():
        planes = find_planes(points, mask)
        content |= {key: planes.ids, f"{key}_paras": _parameters(planes)}
    return content


def _parameters(planes: Planes) -> NDArray[np.float64]:
    """(k, 7) parameters of k planes, empty where there is none.

    Columns 0 to 3 are a, b, c, d in the camera frame (x right, y down, z forward); columns 4 to 6 are the normal where
    the authors' script reads it, in its frame (x right, y forward, z up).
    """
    if not len(planes.parameters):
        return np.empty((0, 0))
    a, b, c, _ = planes.parameters.T
    return np.column_stack([planes.parameters, a, c, -b])
