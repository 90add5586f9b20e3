"""The tree on which BTS, AdaBins and NeWCRFs train and test.

Lee, Han, Ko, Suh, "From Big to Small: Multi-Scale Local Planar Guidance for Monocular Depth Estimation", 2019: frames
of the raw sequences to train on, and the official test frames under their scene type. Depth is what the sensor
measured, uint16 millimetres, 0 = hole.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from datamodules.nyuv2.labeled_format import CAMERA, WIDTH
from datamodules.rooms.layouts.frame_arrays import Frame, each_frame, millimetres, write_image, write_lines
from datamodules.rooms.renderer import RenderedScene
from datamodules.rooms.writer import SceneInfo, write_marker

TRAIN_FOLDER = "sync"
TEST_FOLDER = "official_splits/test"
TRAIN_LIST = "nyudepthv2_train_files_with_gt.txt"
TEST_LIST = "nyudepthv2_test_files_with_gt.txt"


def write_bts(folder: Path, scenes: Sequence[SceneInfo], rendered: Iterable[RenderedScene]) -> None:
    """Write both folders and both lists.

    A line of a list is ``rgb depth focal``, the paths relative to the part's folder, those of the training list with a
    leading slash; the focal length is that of frames of the size written.

    Args:
        folder: root of the tree.
        scenes: all scenes, in order.
        rendered: their frames, in the same order.

    Raises:
        OSError: if a file cannot be written.
    """
    write_marker(folder, "NYU Depth v2")
    train, test = [], []
    for frame in each_frame(scenes, rendered):
        focal = f"{CAMERA[0] * frame.rgb.shape[1] / WIDTH:.4f}"
        if frame.scene.is_test:
            rgb, depth = _write_pair(folder / TEST_FOLDER, frame, frame.scene.scene_type, frame.index)
            test.append(f"{rgb} {depth} {focal}")
        else:
            rgb, depth = _write_pair(folder / TRAIN_FOLDER, frame, frame.scene.name, frame.number)
            train.append(f"/{rgb} /{depth} {focal}")
    write_lines(folder / TRAIN_LIST, train)
    write_lines(folder / TEST_LIST, test)


def _write_pair(root: Path, frame: Frame, place: str, number: int) -> tuple[str, str]:
    """Write a frame's colour and depth; returns their paths relative to ``root``."""
    rgb, depth = f"{place}/rgb_{number:05d}.jpg", f"{place}/sync_depth_{number:05d}.png"
    write_image(root / rgb, frame.rgb)
    write_image(root / depth, millimetres(frame.measured))
    return rgb, depth
