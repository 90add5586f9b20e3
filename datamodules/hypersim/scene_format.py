"""What HyperSim looks like on disk: metadata tables, cameras, frame names.

Roberts et al., "Hypersim: A Photorealistic Synthetic Dataset for Holistic Indoor Scene Understanding", ICCV 2021, and
the README of apple/ml-hypersim. A frame is spread over files of one HDF5 array each (key ``dataset``, gzip):

    ai_VVV_NNN/images/scene_cam_XX_final_hdf5/frame.IIII.color.hdf5                 (H, W, 3) float16 linear RGB
    ai_VVV_NNN/images/scene_cam_XX_final_preview/frame.IIII.tonemap.jpg
    ai_VVV_NNN/images/scene_cam_XX_geometry_hdf5/frame.IIII.depth_meters.hdf5       (H, W) float16, NaN: no surface
                                                            semantic.hdf5           (H, W) int16 NYU40, -1: none
                                                            semantic_instance.hdf5  (H, W) int16 from 1, -1: none
                                                            render_entity_id.hdf5   (H, W) int16 from 1, -1: none
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.files import FIX, names_in, number_lines, printable, read_table

SPLIT_FILE = "metadata_images_split_scene_v1.csv"
CAMERA_FILE = "metadata_camera_parameters.csv"
FLAGGED_FILE = "metadata_images_flagged.txt"

#: Where the metadata comes from.
ORIGINS = {
    SPLIT_FILE: "it comes with apple/ml-hypersim (evermotion_dataset/analysis/); put it beside the ai_* folders",
    CAMERA_FILE: "it comes with apple/ml-hypersim (contrib/mikeroberts3000/); put it beside the ai_* folders",
    FLAGGED_FILE: "it comes with apple/ml-hypersim (evermotion_dataset/analysis/); put it beside the ai_* folders",
}

HEIGHT, WIDTH = 768, 1024

#: Focal length in pixels of the default camera, 60 degrees wide, at 1024x768.
DEFAULT_FOCAL = 886.81


#: Degrees that a camera of HyperSim may see across or upright; the released ones see 57 to 60 and 39 to 47.
FIELD_OF_VIEW = (15.0, 120.0)


@dataclass(frozen=True, order=True)
class HyperSimFrame:
    """A frame's name.

    Attributes:
        scene: ``ai_VVV_NNN``.
        camera: number of the camera trajectory.
        frame: number on it.
    """

    scene: str
    camera: int
    frame: int

    def file(self, kind: str) -> tuple[str, str]:
        """Return folder, below the data set's, and name of one of its files; kinds are those of :meth:`path`."""
        folder = {"color": "final_hdf5", "tonemap": "final_preview"}.get(kind, "geometry_hdf5")
        suffix = "jpg" if kind == "tonemap" else "hdf5"
        return (
            f"{self.scene}/images/scene_cam_{self.camera:02d}_{folder}",
            f"frame.{self.frame:04d}.{kind}.{suffix}",
        )

    def path(self, root: Path, kind: str) -> Path:
        """Return one of its files: ``color``, ``tonemap``, or a geometry map such as ``depth_meters``."""
        return root.joinpath(*self.file(kind))


def _read_table(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file, cells stripped of the blanks that some of Apple's pad them with."""
    rows = read_table(path, ORIGINS.get(path.name, "see apple/ml-hypersim"))
    header = [cell.strip() for cell in rows[0]]
    if missing := [name for name in needed if name not in header]:
        raise ValueError(f"{printable(path)}: column `{missing[0]}` is missing; take the file of apple/ml-hypersim")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise ValueError(
                f"{printable(path)}: line {number} has {len(row)} cells, the header {len(header)}; fetch it again"
            )
    return [dict(zip(header, (cell.strip() for cell in row), strict=True)) for row in rows[1:]]


def read_official_split(path: Path) -> dict[str, list[HyperSimFrame]]:
    """Return released frames by partition (``train``, ``val``, ``test``) of the official split, in the table's order.

    Raises:
        FileNotFoundError: if the table is missing.
        ValueError: if a column is missing, or a row is not of its form.
    """
    parts: dict[str, list[HyperSimFrame]] = {"train": [], "val": [], "test": []}
    columns = ("scene_name", "camera_name", "frame_id", "included_in_public_release", "split_partition_name")
    for number, row in enumerate(_read_table(path, columns), start=2):
        if row["included_in_public_release"] != "True":
            continue
        try:
            frame = HyperSimFrame(row["scene_name"], int(row["camera_name"].removeprefix("cam_")), int(row["frame_id"]))
            parts[row["split_partition_name"]].append(frame)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"{printable(path)}: line {number} names no frame of train, val or test; fetch the file again"
            ) from error
    return parts


def read_flagged(path: Path) -> set[HyperSimFrame]:
    """Return frames that Apple flagged for removal.

    The file lists, for each scene, its cameras' preview folders, and under each the flagged images; an empty line ends
    a scene.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if a line is not of that form.
    """
    flagged, scene, camera = set(), "", 0
    for number, line in number_lines(path, ORIGINS[FLAGGED_FILE]):
        if re.fullmatch(r"ai_\d+_\d+", line):
            scene, camera = line, 0  # of which some scenes with one camera do not say the name
        elif scene and (match := re.match(r"scene_cam_(\d+)", line)):
            camera = int(match[1])
        elif scene and (match := re.match(r"frame\.(\d+)", line)):
            flagged.add(HyperSimFrame(scene, camera, int(match[1])))
        else:
            raise ValueError(f"{printable(path)}: line {number} is no scene, camera or frame in its place; {FIX}")
    return flagged


def read_frame_list(path: Path, origin: str) -> list[HyperSimFrame]:
    """Return frames that a list file names, in its order, whatever its columns.

    Known are Marigold's lines (`ai_001_010/rgb_cam_00_fr0000.png ...`) and any path into the released layout
    (`.../ai_001_010/images/scene_cam_00_final_hdf5/frame.0000.color.hdf5`), wherever it was on its author's machine.

    Raises:
        FileNotFoundError: if it is missing, saying where it comes from.
        ValueError: if a line names no frame.
    """
    frames = []
    for number, line in number_lines(path, origin):
        match = re.search(r"(ai_\d{3}_\d{3})\S*?cam_(\d+)\S*?(?:fr|frame\.)(\d{4})", line)
        if match is None:
            raise ValueError(f"{printable(path)}: line {number} names no HyperSim frame; {origin}")
        frames.append(HyperSimFrame(match[1], int(match[2]), int(match[3])))
    return frames


def incomplete_frames(root: Path, frames: Iterable[HyperSimFrame], kinds: Sequence[str]) -> dict[HyperSimFrame, Path]:
    """Return frames that lack one of their files, and the first such file.

    Lists every folder once: the whole release is checked in seconds, on a network drive too.
    """
    listings: dict[str, set[str]] = {}
    incomplete = {}
    for frame in frames:
        for kind in kinds:
            folder, name = frame.file(kind)
            if folder not in listings:
                listings[folder] = names_in(root / folder)
            if name not in listings[folder]:
                incomplete[frame] = root / folder / name
                break
    return incomplete


def read_cameras(path: Path, scenes: Iterable[str]) -> dict[str, NDArray[np.float64]]:
    """Return the matrix ``M_cam_from_uv`` (3, 3) of each scene's camera.

    Raises:
        FileNotFoundError: if the table is missing.
        ValueError: if a column, or a scene, is missing, or its cells make no camera.
    """
    cells = [f"M_cam_from_uv_{row}{column}" for row in range(3) for column in range(3)]
    rows = {row["scene_name"]: row for row in _read_table(path, ("scene_name", *cells))}
    cameras = {}
    for scene in dict.fromkeys(scenes):
        if scene not in rows:
            raise ValueError(f"{printable(path)}: has no row for {scene}; {ORIGINS[CAMERA_FILE]}")
        try:
            cameras[scene] = np.array([float(rows[scene][cell]) for cell in cells]).reshape(3, 3)
            camera_matrix(cameras[scene], HEIGHT, WIDTH)
        except ValueError as error:  # not numbers, or not a camera: NumPy's LinAlgError is one
            raise ValueError(f"{printable(path)}: the M_cam_from_uv of {scene} is no camera's; {FIX}") from error
        for angle in fields_of_view(cameras[scene]):
            if not FIELD_OF_VIEW[0] <= angle <= FIELD_OF_VIEW[1]:
                raise ValueError(
                    f"{printable(path)}: the M_cam_from_uv of {scene} sees {angle:.3g} degrees, which no camera of "
                    f"HyperSim does (57 to 60 across); {FIX}"
                )
    return cameras


def fields_of_view(m_cam_from_uv: NDArray[np.float64]) -> tuple[float, float]:
    """Return the angle between the rays of left and right, and of lower and upper edge, degrees."""
    rays = m_cam_from_uv @ np.array([[-1, 1, 0, 0], [0, 0, -1, 1], [1, 1, 1, 1]])
    rays = rays / np.linalg.norm(rays, axis=0)
    across, upright = (np.degrees(np.arccos(np.clip(a @ b, -1, 1))) for a, b in (rays.T[:2], rays.T[2:]))
    return float(across), float(upright)


def constant_camera() -> NDArray[np.float64]:
    """Return the usual shortcut for ``M_cam_from_uv``: one camera for every scene (Depth Anything v2, Marigold)."""
    return np.diag([WIDTH / (2 * DEFAULT_FOCAL), HEIGHT / (2 * DEFAULT_FOCAL), -1.0])


def pixels_to_uv(height: int, width: int) -> NDArray[np.float64]:
    """Return the matrix from pixel (x, y, 1), centres at integers, to HyperSim's (u, v, 1): -1..1, v upwards."""
    return np.array([[2 / width, 0, 1 / width - 1], [0, -2 / height, 1 - 1 / height], [0, 0, 1]])


def camera_matrix(m_cam_from_uv: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Return the matrix K (3, 3): a point (X right, Y down, Z forward) shows at pixel K (X, Y, Z) up to scale.

    HyperSim's camera axes are x right, y up, z backward. A tilted or shifted lens makes K a general matrix.

    Raises:
        ValueError: if there is none.
    """
    to_opencv = np.diag([1.0, -1.0, -1.0])
    matrix = np.linalg.inv(to_opencv @ m_cam_from_uv @ pixels_to_uv(height, width))
    if not np.isfinite(matrix).all() or matrix[2, 2] == 0:
        raise ValueError(f"M_cam_from_uv is no camera's: {m_cam_from_uv.tolist()}")
    return matrix / matrix[2, 2]


def planar_factor(m_cam_from_uv: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Return planar depth over distance to the optical centre, (H, W): |r_z| / |r| of each pixel's ray r."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    rays = m_cam_from_uv @ pixels_to_uv(height, width) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    return (np.abs(rays[2]) / np.linalg.norm(rays, axis=0)).reshape(height, width)
