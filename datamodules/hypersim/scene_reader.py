"""Reads HyperSim's frames as they are released."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.files import hdf5_size, printable, read_first, read_hdf5
from datamodules.frames import Frame, FrameReader, clean_depth
from datamodules.hypersim.scene_format import HyperSimFrame, camera_matrix, incomplete_frames, planar_factor
from datamodules.hypersim.tonemap import ToneMap, tonemap
from datamodules.storage.file_state import file_states
from datamodules.storage.images import read_rgb

DepthKind = Literal["planar", "distance"]
ColorSource = Literal["hdr", "preview"]

#: Labels of maps with none count so.
NO_LABEL = -1

#: Frame numbers of a scene's cameras are this far apart: frames of two cameras are never neighbours in time.
CAMERA_STRIDE = 10_000

LABEL_FILES = {"semantics": "semantic", "instances": "semantic_instance"}


def file_kinds(color: ColorSource, labels: bool) -> list[str]:
    """Return kinds of files that reading a frame opens."""
    kinds = ["depth_meters", *(LABEL_FILES.values() if labels else ())]
    return kinds + (["color", "render_entity_id"] if color == "hdr" else ["tonemap"])


class HyperSimReader(FrameReader):
    """Frames of HyperSim: HDR colour tone-mapped, distances made planar with each scene's own camera.

    Args:
        root: folder of the scenes.
        frames: what to read.
        cameras: ``M_cam_from_uv`` of each scene.
        depth: ``planar``, z along the optical axis, or the ``distance`` to the optical centre, as released.
        color: from the ``hdr`` file, or from the 8-bit ``preview``.
        tone_map: of HDR colour.
        labels: whether to read semantics and instances.
        min_depth: metres; depth below it is invalid.
        max_depth: metres; depth above it is invalid.

    Raises:
        FileNotFoundError: if no frame's depth can be read, and the first one's is missing.
        ValueError: if no frame's depth can be read, or there is no frame.
    """

    def __init__(
        self,
        root: Path,
        frames: Sequence[HyperSimFrame],
        cameras: Mapping[str, NDArray[np.float64]],
        *,
        depth: DepthKind = "planar",
        color: ColorSource = "hdr",
        tone_map: ToneMap = "apple",
        labels: bool = True,
        min_depth: float,
        max_depth: float,
    ):
        if not frames:
            raise ValueError(f"{printable(root)}: the lists name no frame; take others")
        self.root = root
        self.frames = tuple(frames)
        self.cameras = dict(cameras)
        self.depth, self.color, self.tone_map = depth, color, tone_map
        self.labels = labels
        self.min_depth, self.max_depth = min_depth, max_depth
        self.scenes = tuple(frame.scene for frame in frames)
        self.frame_numbers = tuple(CAMERA_STRIDE * frame.camera + frame.frame for frame in frames)
        depth_files = (frame.path(root, "depth_meters") for frame in frames)
        try:
            self.size = read_first(hdf5_size, depth_files)
        except FileNotFoundError:
            self.check_files(range(len(frames)))  # says how many are incomplete
            raise
        self._sizes: dict[int, tuple[int, int]] = {}
        self.provides = frozenset({"depth"} | (set(LABEL_FILES) if labels else set()))

    @cached_property
    def identity(self) -> str:
        """Return root, frames, their files' sizes and times, cameras and options."""
        cameras = [(scene, camera.tolist()) for scene, camera in sorted(self.cameras.items())]
        content = hashlib.sha256(repr((self.frames, cameras)).encode()).hexdigest()
        options = (self.depth, self.color, self.tone_map, self.labels, self.min_depth, self.max_depth)
        kinds, root = file_kinds(self.color, self.labels), os.fspath(self.root)
        states = file_states("/".join((root, *frame.file(kind))) for frame in self.frames for kind in kinds)
        return f"{self.root.resolve()} {content} {states} {options}"

    def check_files(self, positions: Iterable[int]) -> None:
        """Check that the files of some frames exist.

        Raises:
            FileNotFoundError: if frames are incomplete, naming the first missing file, and how many they are.
        """
        frames = [self.frames[position] for position in positions]
        if absent := incomplete_frames(self.root, frames, file_kinds(self.color, self.labels)):
            raise FileNotFoundError(
                f"{printable(next(iter(absent.values())))} is missing, a file of one of {len(absent)} incomplete "
                f"frames of {len(frames)}: download them with dataset_download_images.py of apple/ml-hypersim, or "
                "set `data.init_args.missing: skip` to work with the frames that are there"
            )

    def size_of(self, position: int) -> tuple[int, int]:
        """Return height and width of a frame, from the head of its depth file."""
        if position not in self._sizes:
            try:
                self._sizes[position] = hdf5_size(self.frames[position].path(self.root, "depth_meters"))
            except (FileNotFoundError, ValueError):  # said where it is read
                self._sizes[position] = self.size
        return self._sizes[position]

    def source(self, position: int) -> str:
        """Return the frame's depth file."""
        return printable(self.frames[position].path(self.root, "depth_meters"))

    def read(self, position: int) -> Frame:
        """Return the frame at a position.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if one is damaged, or has another size than the depth.
        """
        name = self.frames[position]
        maps = {"depth": self.read_depth(position)}
        size = (maps["depth"].shape[1], maps["depth"].shape[2])
        if self.labels:
            maps |= {key: self._read_labels(name, key, size) for key in LABEL_FILES}
        return Frame(
            image=self._read_image(name, size),
            maps=maps,
            intrinsics=torch.from_numpy(camera_matrix(self.cameras[name.scene], *size)).float(),
            scene=name.scene,
            frame=self.frame_numbers[position],
            index=position,
        )

    def read_depth(self, position: int) -> Tensor:
        """Return depth (1, H, W) in metres; raises as :meth:`read` does."""
        name = self.frames[position]
        path = name.path(self.root, "depth_meters")
        # Half precision, so conversion first: 65504 is its largest number, and sums in it are coarse.
        distance = read_hdf5(path, "float", (None, None)).astype(np.float64)
        if self.depth == "planar":
            height, width = distance.shape
            distance *= _planar_factor(self.cameras[name.scene].tobytes(), height, width)
        return clean_depth(
            distance.astype(np.float32), self.min_depth, self.max_depth, printable(path), nan_is_hole=True
        )

    def oddities(self, position: int) -> tuple[str, ...]:
        """Return values of colour and depth that the format does not have, or that mean nothing, counted."""
        name = self.frames[position]
        maps = {"depth": read_hdf5(name.path(self.root, "depth_meters"), "float", (None, None))}
        if self.color == "hdr":
            maps["HDR colour"] = _hdr(name.path(self.root, "color"), maps["depth"].shape)
        found = []
        for what, values in maps.items():
            counts = {"NaN": np.isnan(values).sum(), "infinite": np.isinf(values).sum(), "negative": (values < 0).sum()}
            if what == "depth":
                del counts["NaN"]  # no surface
            if any(counts.values()):
                said = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
                found.append(f"{what} has values that mean nothing: {said}")
        return tuple(found)

    def _read_labels(self, name: HyperSimFrame, key: str, size: tuple[int, int]) -> Tensor:
        ids = self._map(name, LABEL_FILES[key], "integer", size).astype(np.int64)
        if ids.min() < NO_LABEL or (key == "semantics" and ids.max() > 40):
            wrong = ids.min() if ids.min() < NO_LABEL else ids.max()
            raise ValueError(
                f"{printable(name.path(self.root, LABEL_FILES[key]))}: has id {wrong}, known are "
                f"{'1..40' if key == 'semantics' else '1 and more'}, and -1 for none; fetch it again"
            )
        return torch.from_numpy(np.where(ids == NO_LABEL, 0, ids))

    def _map(
        self, name: HyperSimFrame, kind: str, number: Literal["float", "integer"], size: tuple[int, int], *channels: int
    ) -> NDArray[Any]:
        """A further map (H, W, ...) of a frame, of the size of its depth."""
        path = name.path(self.root, kind)
        values = read_hdf5(path, number, (None, None, *channels))
        if values.shape[:2] != size:
            raise ValueError(
                f"{printable(path)}: key `dataset` is {values.shape}, but that of "
                f"{printable(name.path(self.root, 'depth_meters'))} {size}; fetch both again"
            )
        return values

    def _read_image(self, name: HyperSimFrame, size: tuple[int, int]) -> Tensor:
        if self.color == "preview":
            path = name.path(self.root, "tonemap")
            image = read_rgb(path)
            if tuple(image.shape[1:]) != size:
                raise ValueError(f"{printable(path)}: is {tuple(image.shape[1:])}, the depth {size}; fetch it again")
            return image
        hdr = self._map(name, "color", "float", size, 3)
        entities = self._map(name, "render_entity_id", "integer", size)
        return torch.from_numpy(tonemap(hdr, entities != NO_LABEL, self.tone_map)).permute(2, 0, 1).contiguous()


def _hdr(path: Path, size: tuple[int, ...]) -> NDArray[Any]:
    return read_hdf5(path, "float", (*size, 3))


@lru_cache(maxsize=8)
def _planar_factor(camera: bytes, height: int, width: int) -> NDArray[np.float64]:
    """:func:`planar_factor` of a camera given as bytes; frames come scene by scene in evaluation."""
    return planar_factor(np.frombuffer(camera).reshape(3, 3), height, width)
