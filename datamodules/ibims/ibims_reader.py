"""Reads iBims-1, 100 frames with precise depth, occlusion boundaries and planes, made to evaluate with.

Koch, Liebel, Fraundorfer, Körner, "Evaluation of CNN-based Single-Image Depth Estimation Methods", ECCV Workshops 2018.
"""

import hashlib
import re
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.files import FIX, printable, read_first, read_lines
from datamodules.frames import Frame, FrameReader, clean_depth
from datamodules.storage.cache import remembered
from datamodules.storage.file_state import file_states
from datamodules.storage.images import decode_image, read_depth_png, read_rgb
from datamodules.storage.map_sizes import read_size
from datamodules.storage.matlab import load_matlab5

Layout = Literal["auto", "mat", "png"]

#: Folder of each layout, and in it where the frames' names can be seen: folder and ending.
FOLDERS = {"mat": ("ibims1_core_mat", ".", ".mat"), "png": ("ibims1_core_raw", "rgb", ".png")}

NAMES_FILE = "imagelist.txt"

#: Planes in the order of their ids; the kind of a plane is its position here, from 1.
PLANE_KINDS = ("wall", "table", "floor")

#: Planes that one frame can have; the facts about them are of this length.
MAX_PLANES = 32

#: Metres of one step of the PNG layout's 16-bit depth.
DEPTH_UNIT = 50 / 65535

#: Focal length over half the image, beyond which no camera sees a room: 168 degrees and 1 degree.
FOCAL = (0.1, 100.0)

ORIGIN = "download iBims-1 core from mediatum.ub.tum.de/1455541 and unpack it there"


class IBimsReader(FrameReader):
    """The frames of iBims-1.

    Depth is also invalid where ``mask_invalid`` or ``mask_transp`` is 0, as in the official evaluation. Beyond depth
    the frames have

    * ``occlusion`` (1, H, W) bool: the annotated occlusion boundaries, ``edges``;
    * ``planes`` (H, W) int64: 0 none, then 1..k over the wall, table and floor planes;
    * ``plane_kinds`` (32,) int64: of ids 1..k, 1 wall, 2 table, 3 floor; 0 beyond;
    * ``plane_parameters`` (32, 4) float32: of ids 1..k, a, b, c, d of a X + b Y + c Z + d = 0, metres, in the camera
      (X right, Y down, Z forward); not-a-number where not known, and beyond.

    Args:
        root: folder that holds ``ibims1_core_mat/`` or ``ibims1_core_raw/``, and ``imagelist.txt`` (the names of the
            frames; without it all files there, sorted).
        min_depth: metres; depth below it is invalid.
        max_depth: metres; depth above it is invalid.
        layout: ``mat`` reads MATLAB files, ``png`` pictures (``edges`` and the planes' masks only where their folders
            are there, planes without parameters), ``auto`` the MATLAB files where they are.

    Raises:
        FileNotFoundError: if there are no files of that layout.
        ValueError: if a name is not ``<scene>_<number>``, or every frame is damaged.
    """

    def __init__(self, root: Path, *, min_depth: float, max_depth: float, layout: Layout = "auto"):
        self.root = root
        self.min_depth, self.max_depth = min_depth, max_depth
        here = [name for name, (folder, *_) in FOLDERS.items() if (root / folder).is_dir()]
        if not here or layout not in ("auto", *here):
            wanted = " or ".join(f"{folder}/" for name, (folder, *_) in FOLDERS.items() if layout in ("auto", name))
            raise FileNotFoundError(f"{printable(root)}: {wanted} is missing: {ORIGIN}")
        self.layout = here[0] if layout == "auto" else layout
        folder, shown, self._ending = FOLDERS[self.layout]
        self.folder = root / folder
        if (root / NAMES_FILE).exists():
            self.names = read_lines(root / NAMES_FILE, ORIGIN)
        else:
            self.names = sorted(file.stem for file in (self.folder / shown).glob(f"[!.]*{self._ending}"))
        if not self.names:
            raise FileNotFoundError(f"{printable(self.folder / shown)}: no `*{self._ending}` is there: {ORIGIN}")
        self.scenes, self.frame_numbers = zip(*map(self._split_name, self.names), strict=True)
        self._maps = [name for name in _OPTIONAL if self.layout == "mat" or (self.folder / name).is_dir()]
        self.provides = frozenset(
            {"depth"}
            | ({"occlusion"} if "edges" in self._maps else set())
            | ({"planes", "plane_parameters", "plane_kinds"} if set(self._maps) - {"edges"} else set())
        )
        known = [size for size in self._sizes if size]
        if not known:
            read_first(self._read_size, self.names)  # says what is wrong
        heights, widths = zip(*known, strict=True)
        self.size = (min(heights), min(widths))  # what fits into every frame

    @cached_property
    def _sizes(self) -> list[tuple[int, int] | None]:
        """Height and width of each frame, once for all runs, for MATLAB files have no head; None for a damaged one."""
        sizes = remembered(f"frame sizes\n{self.identity}", lambda: [self._known_size(name) for name in self.names])
        return [(int(size[0]), int(size[1])) if size else None for size in sizes]

    def _read_size(self, name: str) -> tuple[int, int]:
        if self.layout == "png":
            return read_size(self._path(name))
        _, height, width = self._load_mat(name)["rgb"].shape
        return height, width

    def _known_size(self, name: str) -> tuple[int, int] | None:
        try:
            return self._read_size(name)
        except (FileNotFoundError, ValueError):  # said where it is read
            return None

    def size_of(self, position: int) -> tuple[int, int]:
        """Return height and width of a frame."""
        return self._sizes[position] or self.size

    def name_of(self, position: int) -> str:
        """Return the name of a frame, such as ``corridor_01``."""
        return self.names[position]

    def _split_name(self, name: str) -> tuple[str, int]:
        """Scene and number of a frame's name, such as ``corridor_01``."""
        parts = re.fullmatch(r"(\w+)_(\d+)", name)
        if parts is None:
            raise ValueError(
                f"{printable(self.root / NAMES_FILE)}: {name!r} is not a frame's name such as corridor_01; {FIX}"
            )
        return parts[1], int(parts[2])

    def read(self, position: int) -> Frame:
        """Return the frame at a 0-based position.

        Raises:
            FileNotFoundError: if a file of it is missing.
            ValueError: if a file of it is damaged, a field is missing or has another shape than the image, or no depth
                is valid.
        """
        fields, place = self._load(self.names[position]), partial(self._place, self.names[position])
        _, *size = fields["rgb"].shape
        for name in ("depth", *_MASKS, *self._maps):
            if fields[name].shape != tuple(size):
                raise ValueError(f"{place(name)} is {fields[name].shape}, the image is {tuple(size)}; {FIX}")
        seen = (fields["mask_invalid"] != 0) & (fields["mask_transp"] != 0)
        maps = {
            "depth": clean_depth(np.where(seen, fields["depth"], 0), self.min_depth, self.max_depth, place("depth"))
        }
        facts = {}
        if "occlusion" in self.provides:
            maps["occlusion"] = torch.from_numpy(fields["edges"] != 0)[None]
        if "planes" in self.provides:
            maps["planes"], facts["plane_parameters"], facts["plane_kinds"] = _number_planes(fields, place)
        return Frame(
            image=torch.from_numpy(fields["rgb"]),
            maps=maps,
            intrinsics=_pinhole(fields["calib"], place("calib")),
            scene=self.scenes[position],
            frame=self.frame_numbers[position],
            index=position,
            facts=facts,
        )

    def _load(self, name: str) -> dict[str, NDArray[Any]]:
        """The fields of a frame as the MATLAB file names them, ``rgb`` (3, H, W)."""
        return self._load_mat(name) if self.layout == "mat" else self._load_png(name)

    def _load_mat(self, name: str) -> dict[str, NDArray[Any]]:
        path = self._path(name)
        data = load_matlab5(path, ORIGIN).get("data")
        if not isinstance(data, np.ndarray) or data.dtype.names is None or data.size != 1:
            raise ValueError(f"{printable(path)}: key `data` is missing, or not a struct; {FIX}")
        fields = {field: np.asarray(data[field].item()) for field in data.dtype.names}
        for field in ("rgb", "depth", "calib", *_MASKS, *self._maps):
            if field not in fields:
                raise ValueError(f"{printable(path)}: field `data.{field}` is missing; {FIX}")
            if fields[field].dtype.kind not in "buif":
                raise ValueError(f"{printable(path)}: field `data.{field}` is not numeric; {FIX}")
        if fields["depth"].dtype.kind != "f":
            raise ValueError(f"{printable(path)}: field `data.depth` is {fields['depth'].dtype}, not metres; {FIX}")
        if fields["rgb"].dtype != np.uint8 or fields["rgb"].ndim != 3 or fields["rgb"].shape[2] != 3:
            raise ValueError(
                f"{printable(path)}: field `data.rgb` is {fields['rgb'].dtype} {fields['rgb'].shape}, "
                f"not uint8 (height, width, 3); {FIX}"
            )
        return {**fields, "rgb": np.ascontiguousarray(fields["rgb"].transpose(2, 0, 1))}

    def _load_png(self, name: str) -> dict[str, NDArray[Any]]:
        masks = {field: decode_image(self._path(name, field), cv2.IMREAD_UNCHANGED) for field in (*_MASKS, *self._maps)}
        return {
            "rgb": read_rgb(self._path(name)).numpy(),
            "depth": read_depth_png(self._path(name, "depth"), DEPTH_UNIT),
            "calib": _read_calibration(self._path(name, "calib")),
            **masks,
        }

    def _path(self, name: str, field: str = "rgb") -> Path:
        folder = self.folder if self.layout == "mat" else self.folder / field
        return folder / f"{name}{'.txt' if folder.name == 'calib' else self._ending}"

    def _place(self, name: str, field: str) -> str:
        """File and field, for messages."""
        return f"{printable(self._path(name, field))}: `{field}`"

    def source(self, position: int) -> str:
        """Return the frame's MATLAB file, or its picture."""
        return printable(self._path(self.names[position]))

    @cached_property
    def identity(self) -> str:
        """Return the folder, a digest of the names of frames and optional maps, and the files' sizes and times."""
        digest = hashlib.sha256("\n".join([*self.names, *self._maps]).encode()).hexdigest()[:16]
        fields = ("rgb",) if self.layout == "mat" else ("rgb", "depth", "calib", *_MASKS, *self._maps)
        states = file_states(self._path(name, field) for name in self.names for field in fields)
        return (
            f"ibims1 {self.folder.resolve()} names={digest} files={states} min_depth={self.min_depth} "
            f"max_depth={self.max_depth}"
        )


#: Fields of pixels that do not count.
_MASKS = ("mask_invalid", "mask_transp")

#: Fields that the PNG layout may lack.
_OPTIONAL = ("edges", *(f"mask_{kind}" for kind in PLANE_KINDS))


def _number_planes(fields: dict[str, NDArray[Any]], place: Callable[[str], str]) -> tuple[Tensor, Tensor, Tensor]:
    """``planes``, ``plane_parameters`` and ``plane_kinds`` of a frame.

    Value ``j`` of a mask is the plane of row ``j`` (from 1) of its parameters; without parameters the values that
    occur are counted up.

    Raises:
        ValueError: if the parameters are no rows of 7, or there are more than 32 planes.
    """
    size = fields["depth"].shape
    planes = np.zeros(size, np.int64)
    parameters: list[NDArray[Any]] = []
    kinds: list[int] = []
    for kind, name in enumerate(PLANE_KINDS, start=1):
        mask = fields.get(f"mask_{name}", np.zeros(size)).astype(np.int64)
        rows = np.asarray(fields.get(f"mask_{name}_paras", ()), dtype=np.float64)
        if mask.min() < 0 or (rows.size and mask.max() > MAX_PLANES):
            raise ValueError(
                f"{place(f'mask_{name}')} has values {mask.min()}..{mask.max()}, known are 0..{MAX_PLANES}; {FIX}"
            )
        if rows.size:
            rows = _plane_equations(rows, place(f"mask_{name}_paras"))
            rows = np.pad(rows, ((0, max(mask.max() - len(rows), 0)), (0, 0)), constant_values=np.nan)
        else:
            values, counted = np.unique(mask, return_inverse=True)
            mask = counted.reshape(size) + int(values[0] > 0)
            rows = np.full((mask.max(), 4), np.nan)
        planes = np.where(mask > 0, mask + len(kinds), planes)
        parameters += list(rows)
        kinds += [kind] * len(rows)
    if len(kinds) > MAX_PLANES:
        raise ValueError(f"{place('mask_wall')} and others have {len(kinds)} planes, known are {MAX_PLANES}; {FIX}")
    all_parameters, all_kinds = torch.full((MAX_PLANES, 4), torch.nan), torch.zeros(MAX_PLANES, dtype=torch.int64)
    if kinds:
        all_parameters[: len(kinds)] = torch.from_numpy(np.stack(parameters)).float()
        all_kinds[: len(kinds)] = torch.tensor(kinds)
    return torch.from_numpy(planes), all_parameters, all_kinds


def _plane_equations(rows: NDArray[np.float64], source: str) -> NDArray[np.float64]:
    """Rows a, b, c, d of a X + b Y + c Z + d = 0 in the camera (X right, Y down, Z forward).

    The normal stands where the authors' evaluation reads it, in columns 4 to 6, as (right, forward, up). The columns
    before are not documented: the fourth counts as d where the first three repeat the normal, else d is not known.
    """
    if rows.ndim != 2 or rows.shape[1] < 7:
        raise ValueError(f"{source} is {rows.shape}, not one row of 7 numbers for a plane; {FIX}")
    normals = rows[:, [4, 6, 5]] * [1, -1, 1]
    repeated = np.isclose(rows[:, :3], normals, atol=1e-4).all(1)
    return np.column_stack([normals, np.where(repeated, rows[:, 3], np.nan)])


def _read_calibration(path: Path) -> NDArray[np.float64]:
    """Camera matrix (3, 3) of a text file ``fx,fy,cx,cy``."""
    line = " ".join(read_lines(path, ORIGIN))
    try:
        fx, fy, cx, cy = map(float, re.split(r"[,\s]+", line))
    except ValueError as error:
        raise ValueError(f"{printable(path)}: holds {line!r}, not the four numbers fx,fy,cx,cy; {FIX}") from error
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def _pinhole(calibration: NDArray[Any], source: str) -> Tensor:
    """Camera matrix (3, 3) float32 of one that may be transposed, MATLAB's way of writing it.

    The authors' evaluation counts pixels from 1; here the centre of the first is 0.

    Raises:
        ValueError: if it is neither.
    """
    matrix = np.asarray(calibration, dtype=np.float64)
    if matrix.shape == (3, 3) and not matrix[:2, 2].any():
        matrix = matrix.T
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or not (matrix[[0, 1, 0, 1], [0, 1, 2, 2]] > 0).all():
        raise ValueError(f"{source} is not a pinhole camera's (3, 3) matrix: {matrix.tolist()}; {FIX}")
    if not all(FOCAL[0] < matrix[axis, axis] / matrix[axis, 2] < FOCAL[1] for axis in (0, 1)):
        raise ValueError(f"{source} is not a camera's, its field of view is absurd: {matrix.tolist()}; {FIX}")
    return torch.from_numpy(matrix - [[0, 0, 1], [0, 0, 1], [0, 0, 0]]).float()
