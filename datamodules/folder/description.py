"""`dataset.yaml`: what a folder of frames says of itself."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

from datamodules.classes import NAMES40
from datamodules.folder.camera_source import CameraSource, read_camera_source
from datamodules.folder.checked_keys import CheckedKeys, read_mapping
from datamodules.folder.split_rule import SplitRule, read_split_rule
from datamodules.folder.templates import DEFAULT_TEMPLATES, check_template
from datamodules.set_names import check_set_name

DESCRIPTION_FILE = "dataset.yaml"

ORIGIN = "write one as docs/own_data.md shows, with `name`, `depth` and `camera` at least"

Truth = Literal["metric", "scale", "scale_and_shift"]
Coding = Literal["plain", "inverse", "sun_rgbd"]

#: Stored steps of a metre.
UNITS = {"m": 1.0, "dm": 10.0, "cm": 100.0, "mm": 1000.0}

#: What depth counts, metres; of relative truth, in medians of the frame.
METRIC_RANGE, RELATIVE_RANGE = (1e-3, 10.0), (1e-2, 100.0)

KEYS = (
    "name", "origin", "truth", "depth", "camera", "files", "pairs", "image", "classes", "unlabelled", "splits",
)  # fmt: skip


@dataclass(frozen=True)
class DepthCoding:
    """How depth is stored.

    Attributes:
        scale: stored steps of a metre; None where files say metres themselves, as floats do, or nothing is metric.
        range: metres that count; of relative truth, medians of the frame.
        radial: whether it is the distance to the optical centre, which is made planar, instead of planar z.
        coding: ``plain``; ``inverse``, 1 / depth; ``sun_rgbd``, with bits rotated by three.
        sparse: whether a few hundred pixels of a frame are measured, each of which is kept when frames are resized.
    """

    scale: float | None
    range: tuple[float, float]
    radial: bool = False
    coding: Coding = "plain"
    sparse: bool = False


@dataclass(frozen=True)
class Description:
    """What a `dataset.yaml` says.

    Attributes:
        name: of the data set, in metric keys, tables, pages and run names.
        depth: how depth is stored.
        camera: where the camera matrix is from.
        origin: where the frames are from, to be said beside metrics; empty for nothing.
        truth: ``metric``, or known up to a ``scale`` a frame, or up to ``scale_and_shift``.
        files: where files of each kind are, relative to the folder, see :mod:`~datamodules.folder.templates`.
        seconds: files of a frame are named by time, and may be so far apart; None where they have one name.
        image_to_depth: whether images are brought to the size of their depth map.
        classes: number of classes of ``semantics``; 0 where none are labelled.
        class_names: their names; empty for numbers, or NYU40's.
        unlabelled: ids that mean no class, besides 0.
        splits: who is trained, validated and tested on what; None tests on everything.
    """

    name: str
    depth: DepthCoding
    camera: CameraSource
    origin: str = ""
    truth: Truth = "metric"
    files: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_TEMPLATES))
    seconds: float | None = None
    image_to_depth: bool = False
    classes: int = 0
    class_names: tuple[str, ...] = ()
    unlabelled: tuple[int, ...] = ()
    splits: SplitRule | None = None

    @property
    def alignment(self) -> str:
        """Return the alignment of predictions under which metrics mean something, see :class:`EvalProtocol`."""
        if self.truth == "scale_and_shift":
            return "inverse_least_squares" if self.depth.coding == "inverse" else "least_squares"
        return "none" if self.truth == "metric" else "median"

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return asdict(self)


def read_description(folder: Path) -> Description:
    """Read the `dataset.yaml` of a folder.

    Raises:
        FileNotFoundError: if there is no such folder or file, saying what to do.
        ValueError: if something is wrong with it: one line with file, key and fix.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder: name the one that holds {DESCRIPTION_FILE}")
    file = folder / DESCRIPTION_FILE
    keys = CheckedKeys(file, read_mapping(file, ORIGIN), KEYS)
    for key in ("name", "depth", "camera"):
        if key not in keys:
            raise keys.fault(key, f"is missing; {_WANTED[key]}")
    name = keys.text("name")
    check_set_name(name, keys.place("name"))
    truth = cast(Truth, keys.choice("truth", get_args(Truth), "metric"))
    classes, names = _read_classes(keys)
    return Description(
        name=name,
        depth=_read_depth(keys, truth),
        camera=read_camera_source(file, keys.get("camera")),
        origin=keys.text("origin"),
        truth=truth,
        files=_read_files(keys),
        seconds=_read_pairs(keys),
        image_to_depth=_read_image(keys),
        classes=classes,
        class_names=names,
        unlabelled=_read_unlabelled(keys),
        splits=read_split_rule(file, keys.get("splits")),
    )


_WANTED = {
    "name": "give the data set a name of its own, such as `name: my_kitchen`",
    "depth": "say what stored depth is, such as `depth: {unit: mm}`",
    "camera": "give `{fx: 525, fy: 525, cx: 319.5, cy: 239.5}`, `{file: ...}`, or, if that is all you know, "
    "`{horizontal_fov: 60}`",
}


def _read_depth(keys: CheckedKeys, truth: Truth) -> DepthCoding:
    """Read the section ``depth``; raises ValueError."""
    depth = CheckedKeys(
        keys.file, keys.get("depth"), ("unit", "scale", "range", "measured", "coding", "sparse"), "depth"
    )
    if "unit" in depth and "scale" in depth:
        raise depth.fault("unit", "and `depth.scale` both say what a stored step is; keep one")
    scale = UNITS[depth.choice("unit", tuple(UNITS), "m")] if "unit" in depth else depth.number("scale")
    coding = cast(Coding, depth.choice("coding", get_args(Coding), "plain"))
    radial = depth.choice("measured", ("planar", "radial"), "planar") == "radial"
    if radial and truth == "scale_and_shift":
        raise depth.fault("measured", "is radial, which depth with an unknown shift cannot be made planar from")
    default = METRIC_RANGE if truth == "metric" else RELATIVE_RANGE
    return DepthCoding(scale, _read_range(depth, default), radial, coding, depth.switch("sparse"))


def _read_range(depth: CheckedKeys, default: tuple[float, float]) -> tuple[float, float]:
    value = depth.get("range")
    if value is None:
        return default
    numbers = isinstance(value, list) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    if not numbers or len(value) != 2 or not 0 < value[0] < value[1] < float("inf"):
        raise depth.fault("range", f"is {value!r}, not `[nearest, farthest]` in metres, such as [0.1, 10]")
    return float(value[0]), float(value[1])


def _read_files(keys: CheckedKeys) -> dict[str, str]:
    """Read the section ``files`` over the defaults; a kind may be null, and is then not looked for."""
    if "files" not in keys:
        return dict(DEFAULT_TEMPLATES)
    given = CheckedKeys(keys.file, keys.get("files"), tuple(DEFAULT_TEMPLATES), "files")
    files = dict(DEFAULT_TEMPLATES)
    for kind in given.values:
        if kind in given:
            files[kind] = check_template(given.text(kind), given.place(kind))
        elif kind in ("rgb", "depth"):
            raise given.fault(kind, "is empty, and every frame needs one")
        else:
            del files[kind]
    return files


def _read_pairs(keys: CheckedKeys) -> float | None:
    if "pairs" not in keys:
        return None
    pairs = CheckedKeys(keys.file, keys.get("pairs"), ("within_seconds",), "pairs")
    return pairs.number("within_seconds", 0.02)


def _read_image(keys: CheckedKeys) -> bool:
    if "image" not in keys:
        return False
    image = CheckedKeys(keys.file, keys.get("image"), ("resize_to",), "image")
    return image.choice("resize_to", ("depth", "nothing"), "nothing") == "depth"


def _read_classes(keys: CheckedKeys) -> tuple[int, tuple[str, ...]]:
    """Read number and names of the classes: `nyu40`, a number, or a list of names."""
    value = keys.get("classes")
    if value is None:
        return 0, ()
    if value == "nyu40":
        return len(NAMES40), ()
    if isinstance(value, list):
        names = [str(name).strip() for name in value]
        twice = next((name for name in names if names.count(name) > 1), None)
        wrong = next((name for name in names if not name or "/" in name), None)
        if not names or twice is not None or wrong is not None:
            what = f"names {twice!r} twice" if twice else "has a name that is empty or holds a slash"
            raise keys.fault("classes", f"{what}; give each class, from id 1 on, a name of its own")
        if len(names) == len(NAMES40) and tuple(names) != NAMES40:
            raise keys.fault("classes", "names 40 classes, which metrics take for NYU40's; add a 41st, `unused`")
        return len(names), tuple(names)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0 and value != len(NAMES40):
        return value, ()
    raise keys.fault("classes", f"is {value!r}; give a list of names from id 1 on, their number, or `nyu40`")


def _read_unlabelled(keys: CheckedKeys) -> tuple[int, ...]:
    value = keys.get("unlabelled")
    ids = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(id_, int) and not isinstance(id_, bool) for id_ in ids):
        raise keys.fault("unlabelled", f"is {value!r}, not ids such as [255]")
    return tuple(ids)
