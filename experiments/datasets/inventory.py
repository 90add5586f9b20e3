"""What each data set consists of on disk, where it comes from, and what of it is there."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from datamodules.declared_size import dataset_shape
from datamodules.files import ROOMS_MARKER, require_files
from datamodules.hypersim.hypersim_datamodule import LISTS
from datamodules.hypersim.scene_format import CAMERA_FILE, FLAGGED_FILE, SPLIT_FILE
from datamodules.ibims import ibims_reader
from datamodules.nyuv2 import nyuv2_oc
from datamodules.nyuv2.labeled_format import CLASS13_MAPPING_FILE, CLASS_MAPPING_FILE, LABELED_FILE, SPLITS_FILE
from datamodules.nyuv2.labeled_reader import open_labeled
from datamodules.nyuv2.nyu_fused import V1_FILE
from datamodules.nyuv2.trees import (
    BTS_FOLDERS,
    BTS_LISTS,
    LIST_FOLDERS,
    MARIGOLD_LISTS,
    TreeFrame,
    read_bts,
    read_marigold,
)


@dataclass(frozen=True)
class Piece:
    """Something a data set is made of.

    Attributes:
        name: for messages.
        places: patterns below the data set's folder, any of which will do.
        use: what it is needed for.
    """

    name: str
    places: tuple[str, ...]
    use: str = ""

    def is_in(self, folder: Path) -> bool:
        """Return whether a data set's folder holds it."""
        return any(next(folder.glob(place), None) is not None for place in self.places)


@dataclass(frozen=True)
class Layout:
    """One of the ways in which a data set is kept.

    Attributes:
        name: as in the configuration.
        pieces: what it needs.
        count: number of frames in a folder that has them all; raises as the readers do where a file is damaged.
        released: number of frames of the whole release; None where it depends on what was unpacked.
    """

    name: str
    pieces: tuple[Piece, ...]
    count: Callable[[Path], int]
    released: int | None = None


@dataclass(frozen=True)
class DataSource:
    """A data set.

    Attributes:
        folder: its name below ``DATA_ROOT``.
        title: what it is.
        layouts: any of which makes it complete.
        optional: what it can do without.
        origin: official page, and what of it to place in the folder.
        licence: what is known of its terms.
    """

    folder: str
    title: str
    layouts: tuple[Layout, ...]
    optional: tuple[Piece, ...]
    origin: str
    licence: str


@dataclass(frozen=True)
class Finding:
    """What is there of a data set.

    Attributes:
        source: the data set.
        folder: where it was looked for.
        frames: number of frames of each complete layout.
        present: names of pieces that are there, optional ones too.
        missing: names of what the layout nearest to being complete lacks; empty if one is complete.
        damaged: what is wrong with files that are there, one line each.
        absent: optional pieces that are not there.
        synthetic: whether the folder holds Rooms in the data set's format.
    """

    source: DataSource
    folder: Path
    frames: dict[str, int]
    present: tuple[str, ...]
    missing: tuple[str, ...]
    damaged: tuple[str, ...]
    absent: tuple[Piece, ...]
    synthetic: bool

    @property
    def complete(self) -> bool:
        """Return whether some layout can be read."""
        return bool(self.frames)


def find(source: DataSource, root: Path) -> Finding:
    """Look for a data set below ``DATA_ROOT``."""
    folder = root / source.folder
    pieces = dict.fromkeys([*(piece for layout in source.layouts for piece in layout.pieces), *source.optional])
    there = [piece for piece in pieces if piece.is_in(folder)]
    frames, damaged = {}, []
    for layout in source.layouts:
        if set(layout.pieces) <= set(there):
            try:
                frames[layout.name] = layout.count(folder)
            except (OSError, ValueError) as error:
                damaged.append(str(error))
    nearest = max(source.layouts, key=lambda layout: len(set(layout.pieces) & set(there)) / len(layout.pieces))
    return Finding(
        source=source,
        folder=folder,
        frames=frames,
        present=tuple(piece.name for piece in there),
        missing=() if frames else tuple(piece.name for piece in nearest.pieces if piece not in there),
        damaged=tuple(damaged),
        absent=tuple(piece for piece in source.optional if piece not in there),
        synthetic=(folder / ROOMS_MARKER).is_file(),
    )


def _file(name: str, use: str = "") -> Piece:
    return Piece(name, (name,), use)


def _list_file(name: str, use: str = "") -> Piece:
    return Piece(name, tuple(f"{folder}/{name}".lstrip("/") for folder in LIST_FOLDERS), use)


def _count_labeled(folder: Path, name: str) -> int:
    with open_labeled(folder / name) as file:
        if "images" not in file:
            raise ValueError(f"{folder / name}: key `images` is missing; take the original labelled file")
        shape = dataset_shape(file["images"], f"{folder / name}: key `images`", "take the original labelled file")
        return shape[0] if shape else 0


def _count_bts(folder: Path) -> int:
    return _count_tree(frame for part in BTS_LISTS for frame in read_bts(folder, part))


def _count_marigold(folder: Path) -> int:
    return _count_tree(frame for part in MARIGOLD_LISTS for frame in read_marigold(folder, part))


def _count_tree(frames: Iterable[TreeFrame]) -> int:
    listed = list(frames)
    require_files(file for frame in listed for file in (frame.image, frame.depth))
    return len(listed)


def _count_files(folder: Path, *patterns: str) -> int:
    return sum(1 for pattern in patterns for path in folder.glob(pattern) if not path.name.startswith("."))


def _bts_images(part: str) -> Piece:
    places = tuple(f"{folder}/*/rgb_*.jpg".lstrip("/") for folder in BTS_FOLDERS[part])
    return Piece(f"{BTS_FOLDERS[part][0]}/ ({part} images)", places)


def _boundary_layout(convention: str) -> Layout:
    folder, name = nyuv2_oc.CONVENTIONS[convention]
    places = tuple(dict.fromkeys((folder, folder.split("/")[-1])))

    def count(root: Path) -> int:
        return sum(name.fullmatch(path.name) is not None for place in places for path in (root / place).glob("*.png"))

    piece = Piece(f"{folder}/ (boundary maps)", tuple(f"{place}/*.png" for place in places))
    return Layout(convention, (piece,), count, 654 if convention == "oc++" else None)


def _ibims_layout(name: str) -> Layout:
    folder, shown, ending = ibims_reader.FOLDERS[name]
    pattern = f"{folder}/{shown}/*{ending}".replace("/./", "/")
    return Layout(name, (Piece(f"{folder}/", (pattern,)),), lambda root: _count_files(root, pattern), 100)


_HYPERSIM_FRAMES = "ai_*_*/images/scene_cam_*_geometry_hdf5/frame.*.depth_meters.hdf5"
_RAW_DEPTH, _RAW_COLOR = ("*/d-*.pgm", "*/*/d-*.pgm"), ("*/r-*.ppm", "*/*/r-*.ppm")
_NYU_TERMS = "offered for research; its page has the terms"

SOURCES = (
    DataSource(
        "nyuv2",
        "NYU Depth V2",
        layouts=(
            Layout(
                "labeled",
                (_file(LABELED_FILE), _file(SPLITS_FILE)),
                partial(_count_labeled, name=LABELED_FILE),
                1449,
            ),
            Layout("bts", (*map(_list_file, BTS_LISTS.values()), *map(_bts_images, BTS_LISTS)), _count_bts),
            Layout("marigold", tuple(map(_list_file, MARIGOLD_LISTS.values())), _count_marigold, 1449),
        ),
        optional=(
            _file(CLASS_MAPPING_FILE, "40 classes; github.com/ankurhanda/nyuv2-meta-data has it"),
            _file(CLASS13_MAPPING_FILE, "13 classes; github.com/ankurhanda/nyuv2-meta-data has it"),
        ),
        origin=(
            f"NYU Depth Dataset V2 page, cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html: {LABELED_FILE} (2.97 GB) and "
            f"{SPLITS_FILE}; or the image tree and lists of BTS or Marigold"
        ),
        licence=_NYU_TERMS,
    ),
    DataSource(
        "nyuv1",
        "NYU Depth V1",
        layouts=(Layout("labeled", (_file(V1_FILE),), partial(_count_labeled, name=V1_FILE), 2284),),
        optional=(),
        origin=f"NYU Depth Dataset V1 page, cs.nyu.edu/~fergus/datasets/nyu_depth_v1.html: the labelled {V1_FILE}",
        licence=_NYU_TERMS,
    ),
    DataSource(
        "hypersim",
        "HyperSim",
        layouts=(
            Layout(
                "released",
                (Piece("ai_VVV_NNN/images/ (scenes)", (_HYPERSIM_FRAMES,)), _file(SPLIT_FILE), _file(CAMERA_FILE)),
                lambda folder: _count_files(folder, _HYPERSIM_FRAMES),
                74619,
            ),
        ),
        optional=(
            _file(FLAGGED_FILE, "leaves out the frames Apple flagged; of apple/ml-hypersim"),
            *(
                Piece(
                    ", ".join(lists.values()), tuple(lists.values()), f"`frames: {selection}`; {origin.split(';')[0]}"
                )
                for selection, (lists, origin) in LISTS.items()
            ),
        ),
        origin=(
            "github.com/apple/ml-hypersim: its download tool code/python/tools/dataset_download_images.py gives the "
            f"ai_* folders, the repository {SPLIT_FILE} and {CAMERA_FILE}"
        ),
        licence="CC BY-SA 3.0",
    ),
    DataSource(
        "nyuv2_oc",
        "NYUv2-OC++ / NYUv2-OC, boundaries of nyuv2's test frames",
        layouts=tuple(map(_boundary_layout, nyuv2_oc.CONVENTIONS)),
        optional=(),
        origin=(
            "project page michaelramamonjisoa.github.io/projects/DisplacementFields: unpack NYUv2_OCpp/ there; "
            "the older NYUv2-OC comes with SharpNet: occlusion_boundaries/"
        ),
        licence="annotations of NYU Depth V2; the project page has the terms",
    ),
    DataSource(
        "ibims1",
        "iBims-1",
        layouts=tuple(map(_ibims_layout, ibims_reader.FOLDERS)),
        optional=(_file(ibims_reader.NAMES_FILE, "order of the frames; comes with iBims-1"),),
        origin="TUM's page www.asg.ed.tum.de/lmf/ibims1: unpack ibims1_core_mat/ or ibims1_core_raw/ there",
        licence="the page has the terms",
    ),
    DataSource(
        "nyuv2_raw",
        "NYU Depth V2, raw video",
        layouts=(
            Layout(
                "scenes",
                (Piece("SCENE/d-*.pgm (depth)", _RAW_DEPTH), Piece("SCENE/r-*.ppm (colour)", _RAW_COLOR)),
                lambda folder: _count_files(folder, *_RAW_DEPTH),
            ),
        ),
        optional=(),
        origin=(
            "NYU Depth Dataset V2 page, cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html: unpack the raw scenes, each "
            "into a folder of its name"
        ),
        licence=_NYU_TERMS,
    ),
)
