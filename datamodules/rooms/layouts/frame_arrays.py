"""What all layouts share: frames one by one as arrays, millimetres, and files that are written or complained about."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datamodules.rooms.renderer import RenderedScene
from datamodules.rooms.writer import SceneInfo, measured_depth

#: Millimetres in a metre, and the farthest that a Kinect's depth files hold.
MILLIMETRES, FARTHEST = 1000, 10_000


@dataclass(frozen=True)
class Frame:
    """One rendered frame.

    Attributes:
        scene: the scene it belongs to.
        index: 0-based, in the order of the labelled file: frame j of scene s is s * frames + j.
        number: 0-based, within the scene.
        rgb: (H, W, 3) uint8.
        depth: (H, W) float32, planar z in metres, exact everywhere.
        measured: (H, W) float32, the same with 0 where a sensor sees nothing.
        labels: (H, W) int64, NYUv2's fine class id.
        occlusion: (H, W) bool, occlusion boundaries.
    """

    scene: SceneInfo
    index: int
    number: int
    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    measured: NDArray[np.float32]
    labels: NDArray[np.int64]
    occlusion: NDArray[np.bool_]


def each_frame(scenes: Sequence[SceneInfo], rendered: Iterable[RenderedScene]) -> Iterator[Frame]:
    """Yield the frames of all scenes in the order of the labelled file.

    Raises:
        ValueError: if there are more or fewer scenes than rendered ones.
    """
    index = 0
    for scene, images in zip(scenes, rendered, strict=True):
        values = (images.rgb, images.depth, images.labels, images.occlusion)
        rgb, depth, labels, occlusion = (value.cpu().numpy() for value in values)
        measured = measured_depth(depth, labels, occlusion)
        for number in range(len(depth)):
            yield Frame(
                scene,
                index,
                number,
                rgb[number],
                depth[number],
                measured[number],
                labels[number],
                occlusion[number],
            )
            index += 1


def millimetres(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return depth in metres as NYUv2's 16-bit PNG files hold it: whole millimetres, at most 10 m, 0 = no depth."""
    return np.minimum(np.round(depth.astype(np.float64) * MILLIMETRES), FARTHEST).astype(np.uint16)


def write_image(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write an image, RGB or grey, in the format that the suffix names; JPEG at quality 100; makes the folder.

    Raises:
        OSError: if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    if not cv2.imwrite(str(path), channels, [cv2.IMWRITE_JPEG_QUALITY, 100] if path.suffix == ".jpg" else []):
        raise OSError(f"{path} cannot be written: is the disk full, or the folder read-only?")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text file; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
