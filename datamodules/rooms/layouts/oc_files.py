"""Occlusion boundaries as NYUv2-OC (SharpNet) and NYUv2-OC++ lay them out.

Ramamonjisoa, Lepetit, "SharpNet", ICCV Workshops 2019; Ramamonjisoa, Du, Lepetit, "Predicting Sharp and Accurate
Occlusion Boundaries in Monocular Depth Estimation Using Displacement Fields", CVPR 2020. Both number the frames of the
labelled file from 0.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from datamodules.rooms.layouts.frame_arrays import each_frame, write_image, write_lines
from datamodules.rooms.renderer import RenderedScene
from datamodules.rooms.writer import SceneInfo, write_marker

Convention = Literal["oc++", "oc"]

#: Where the maps of a convention lie, and where its list of them.
_FILES: dict[Convention, tuple[str, str]] = {
    "oc++": ("NYUv2_OCpp/oc/{index:04d}_oc.png", "NYUv2_OCpp/boundaries_list.txt"),
    "oc": ("occlusion_boundaries/{index}_ob.png", "boundaries_list.txt"),
}


def write_occlusion(
    folder: Path, scenes: Sequence[SceneInfo], rendered: Iterable[RenderedScene], convention: Convention = "oc++"
) -> None:
    """Write the boundaries of the test frames, 8 bits, 0 or 255, and the list of them.

    Args:
        folder: root of the tree.
        scenes: all scenes, in order.
        rendered: their frames, in the same order.
        convention: whose names.

    Raises:
        OSError: if a file cannot be written.
    """
    write_marker(folder, "NYU Depth v2")
    pattern, names = _FILES[convention]
    paths = []
    for frame in each_frame(scenes, rendered):
        if frame.scene.is_test:
            paths.append(folder / pattern.format(index=frame.index))
            write_image(paths[-1], frame.occlusion.astype(np.uint8) * 255)
    listed = folder / names
    write_lines(listed, [path.relative_to(listed.parent).as_posix() for path in paths])
