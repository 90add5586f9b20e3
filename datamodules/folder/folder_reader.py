"""Reads the frames of a folder that a `dataset.yaml` describes."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.files import printable, read_first
from datamodules.folder.camera_source import read_camera
from datamodules.folder.description import DESCRIPTION_FILE, Description
from datamodules.folder.found_frames import FoundFrame, find_frames
from datamodules.folder.frame_files import planar, read_depth_file, read_ids, read_mask
from datamodules.frames import Frame, FrameReader, clean_depth
from datamodules.pipeline.transforms import resize_image
from datamodules.storage.cache import remembered
from datamodules.storage.file_state import file_states
from datamodules.storage.images import read_rgb
from datamodules.storage.map_sizes import known_size, read_size

#: How much the aspect ratios of an image and a depth map may differ that show the same: ScanNet's do by 0.4 %.
ASPECT = 0.01

#: What is said of relative truth beside metrics.
TRUTH_REMARKS = {
    "scale": "truth up to scale, in medians of each frame instead of metres",
    "scale_and_shift": "truth up to scale and shift, in medians of each frame instead of metres",
}


class FolderReader(FrameReader):
    """The frames of a folder.

    Args:
        folder: that holds them.
        description: what its `dataset.yaml` says.
        min_depth: metres, of relative truth medians of the frame; depth below it is invalid.
        max_depth: the same; depth above it is invalid.

    Raises:
        FileNotFoundError: if there is no image.
        ValueError: if two files could be of one frame, no image can be read, or classes are labelled and not named.
    """

    def __init__(self, folder: Path, description: Description, *, min_depth: float, max_depth: float):
        self.folder, self.description = folder, description
        self.min_depth, self.max_depth = min_depth, max_depth
        self.frames = find_frames(folder, description)
        self.scenes = tuple(frame.scene for frame in self.frames)
        self.frame_numbers = _numbers(self.scenes)
        kinds = self.frames[0].files.keys()
        self.provides = frozenset({"depth", *(kind for kind in ("semantics", "instances") if kind in kinds)})
        if "semantics" in kinds and not description.classes:
            raise ValueError(
                f"{printable(folder / DESCRIPTION_FILE)}: key `classes` is missing, and there are semantics: give the "
                "list of names from id 1 on, their number, or `nyu40`; or set `files: {semantics: null}`"
            )
        self.provenance, self.sparse = description.origin, description.depth.sparse
        self.depth_remarks = tuple(filter(None, [TRUTH_REMARKS.get(description.truth)]))
        known = [size for size in self._sizes if size]
        if not known:
            read_first(lambda frame: read_size(self._sized_file(frame)), self.frames)  # says what is wrong
        heights, widths = zip(*known, strict=True)
        self.size = (min(heights), min(widths))  # what fits into every frame

    def _sized_file(self, frame: FoundFrame) -> Path:
        return frame.files["depth" if self.description.image_to_depth else "rgb"]

    @cached_property
    def _sizes(self) -> list[tuple[int, int] | None]:
        """Height and width of each frame, from the heads of files, once for all runs; None where one is damaged."""
        sizes = remembered(
            f"frame sizes\n{self.identity}", lambda: [known_size(self._sized_file(frame)) for frame in self.frames]
        )
        return [(int(size[0]), int(size[1])) if size else None for size in sizes]

    def size_of(self, position: int) -> tuple[int, int]:
        """Return height and width of a frame."""
        return self._sizes[position] or self.size

    def name_of(self, position: int) -> str:
        """Return the image's scene, if there are scenes, and name."""
        _, _, name, _ = self.frames[position].names
        return name

    @cached_property
    def identity(self) -> str:
        """Return what the description says, the names of all files, and their sizes and times."""
        files = [path for frame in self.frames for path in frame.files.values()]
        names = "\n".join(str(path.relative_to(self.folder)) for path in files)
        digest = hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        said = json.dumps({**self.description.as_json(), "splits": None}, sort_keys=True, ensure_ascii=False)
        return (
            f"folder {self.folder.resolve()} names={digest} files={file_states(files)} min_depth={self.min_depth} "
            f"max_depth={self.max_depth} {said}"
        )

    def check_files(self, positions: Iterable[int]) -> None:
        """Check that the files of some frames are there.

        Raises:
            FileNotFoundError: if some are not, naming the first, and how many frames lack one.
        """
        lacking = [self.frames[position] for position in positions if self.frames[position].missing]
        if lacking:
            raise FileNotFoundError(f"{self._absence(lacking[0])}, one of {len(lacking)} frames that lack a file")

    def _absence(self, frame: FoundFrame) -> str:
        kind = min(frame.missing)
        wanted = "camera file" if kind == "camera" else f"file of {kind}"
        others = "" if kind in ("depth", "camera") else f", or leave all out with `files: {{{kind}: null}}`"
        return (
            f"{printable(frame.files['rgb'])}: has no {wanted}: {printable(frame.files[kind])} is not there (with "
            f"whatever ending); add it, or take the image away{others}"
        )

    def source(self, position: int) -> str:
        """Return the image's file."""
        return printable(self.frames[position].files["rgb"])

    def read(self, position: int) -> Frame:
        """Return the frame at a position.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if one is damaged, or they do not fit.
        """
        frame = self.frames[position]
        image, depth, camera = self._image(frame), *self._depth_and_camera(frame)
        size = depth.shape[1], depth.shape[2]
        if self.description.image_to_depth:
            image = self._fitted(frame, image, size)
        self._check_size(frame, "depth", size, (image.shape[1], image.shape[2]))
        maps = {"depth": depth}
        for kind in self.provides - {"depth"}:
            ids = self._ids(frame, kind)
            self._check_size(frame, kind, ids.shape, size)
            maps[kind] = torch.from_numpy(ids)
        return Frame(
            image=image,
            maps=maps,
            intrinsics=camera,
            scene=frame.scene,
            frame=self.frame_numbers[position],
            index=position,
            sparse=self.sparse,
        )

    def read_depth(self, position: int) -> Tensor:
        """Return depth (1, H, W) in metres, of relative truth in medians of the frame; raises as :meth:`read` does."""
        return self._depth_and_camera(self.frames[position])[0]

    def _image(self, frame: FoundFrame) -> Tensor:
        return read_rgb(frame.files["rgb"])

    def _depth_and_camera(self, frame: FoundFrame) -> tuple[Tensor, Tensor]:
        if frame.missing:
            raise FileNotFoundError(self._absence(frame))
        path, coding = frame.files["depth"], self.description.depth
        metric = self.description.truth == "metric"
        depth = read_depth_file(path, coding, metric=metric)
        if "masks" in frame.files:
            mask = read_mask(frame.files["masks"])
            self._check_size(frame, "masks", mask.shape, depth.shape)
            depth = np.where(mask, depth, 0)
        if "camera" in frame.files:
            camera = read_camera(frame.files["camera"])
        else:
            camera = self.description.camera.of((depth.shape[0], depth.shape[1]))
            if self.description.camera.matrix is not None:
                self._check_one_camera()
        if coding.radial:
            depth = planar(depth, camera)
        if not metric:
            depth = _in_medians(depth)
        place = f"{printable(path)} (`depth` in {DESCRIPTION_FILE} says its unit)" if metric else printable(path)
        return clean_depth(depth, self.min_depth, self.max_depth, place, nan_is_hole=True), camera

    def _check_one_camera(self) -> None:
        sizes = {size for size in self._sizes if size}
        if len(sizes) > 1:
            shown = ", ".join(f"{height}x{width}" for height, width in sorted(sizes)[:3])
            raise ValueError(
                f"{printable(self.folder / DESCRIPTION_FILE)}: key `camera` gives one matrix, but frames are of "
                f"{len(sizes)} sizes ({shown}); give each a file (`camera.file`), or `camera.horizontal_fov`"
            )

    def _ids(self, frame: FoundFrame, kind: str) -> NDArray[np.int64]:
        path = frame.files[kind]
        ids = read_ids(path)
        if kind == "semantics":
            ids = np.where(np.isin(ids, self.description.unlabelled), 0, ids)
            if ids.max() > self.description.classes or ids.min() < 0:
                raise ValueError(
                    f"{printable(path)}: holds class {ids.max() if ids.max() > 0 else ids.min()}, and `classes` in "
                    f"{DESCRIPTION_FILE} has {self.description.classes}, from id 1 on; name it there, or give its id "
                    "as `unlabelled`"
                )
        elif ids.min() < 0:
            raise ValueError(f"{printable(path)}: holds object {ids.min()}; ids are from 1 on, 0 for none")
        return ids

    def _fitted(self, frame: FoundFrame, image: Tensor, size: tuple[int, int]) -> Tensor:
        """Return an image at the size of its depth map, which shows the same."""
        height, width = image.shape[1:]
        if abs(width / height / (size[1] / size[0]) - 1) > ASPECT:
            raise ValueError(
                f"{printable(frame.files['rgb'])}: is {height}x{width} pixels, its depth map {size[0]}x{size[1]}: the "
                "two do not show the same; register depth to the image"
            )
        return resize_image(image, size)

    def _check_size(self, frame: FoundFrame, kind: str, size: Sequence[int], expected: Sequence[int]) -> None:
        if tuple(size) != tuple(expected):
            fix = f"or set `image: {{resize_to: depth}}` in {DESCRIPTION_FILE}" if kind == "depth" else "or redo it"
            raise ValueError(
                f"{printable(frame.files[kind])}: is {size[0]}x{size[1]} pixels, its frame "
                f"{printable(frame.files['rgb'])} {expected[0]}x{expected[1]}; take the two that belong together, {fix}"
            )


def _numbers(scenes: Sequence[str]) -> tuple[int, ...]:
    """Return the number of each frame in its scene, from 0."""
    seen: dict[str, int] = {}
    numbers = []
    for scene in scenes:
        numbers.append(seen.get(scene, 0))
        seen[scene] = numbers[-1] + 1
    return tuple(numbers)


def _in_medians(depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return relative depth with its median as the unit: it has no other, and so ranges and errors mean something."""
    seen: NDArray[Any] = depth[np.isfinite(depth) & (depth > 0)]
    return depth / np.median(seen) if len(seen) else depth
