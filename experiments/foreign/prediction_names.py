"""Predictions called as the frames are: which file is of which frame."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from datamodules.files import printable
from datamodules.storage.map_formats import FORMATS
from experiments.inference.photo_files import RECORD

#: What `segdepth infer` calls the depth in a photo's folder, and its formats, the most exact first.
DEPTH = "depth"
EXACT = (".npy", ".exr", ".png")


def find_by_name(source: Path, frames: Mapping[int, str]) -> dict[int, Path]:
    """Return the file of each frame that one is called after, by the frame's 0-based number in the data set.

    A frame ``attic/0001`` has the file ``attic/0001.npy``, or ``0001.npy`` where no other frame is called ``0001``, in
    the folder or any below it; or ``depth.npy`` in a folder of such a name, or one that `segdepth infer` made of the
    frame's image.

    Args:
        source: the folder.
        frames: name of each frame, by number in the data set.

    Raises:
        ValueError: if two files are of one frame.
    """
    short = Counter(PurePosixPath(name).name for name in frames.values())
    numbers = {name: index for index, name in frames.items()}
    numbers |= {own: index for index, name in frames.items() if short[own := PurePosixPath(name).name] == 1}
    found: dict[int, Path] = {}
    for path in sorted(source.rglob("*"), key=_in_order):
        if path.suffix.lower() not in FORMATS or path.name.startswith(".") or not path.is_file():
            continue
        index = next((numbers[ending] for ending in _endings(path, source) if ending in numbers), None)
        if index is None:
            continue
        if index in found and path.stem == DEPTH and path.parent == found[index].parent:
            continue  # the same depth in a coarser format
        if index in found:
            raise ValueError(
                f"{printable(found[index])} and {printable(path)} are of one frame, `{frames[index]}`; keep one"
            )
        found[index] = path
    return found


def _in_order(path: Path) -> tuple[str, str, int, str]:
    suffix = path.suffix.lower()
    return str(path.parent), path.stem, EXACT.index(suffix) if suffix in EXACT else len(EXACT), suffix


def _endings(path: Path, source: Path) -> Iterator[str]:
    """What a file may be called after, the most telling first: a path, then ever less of its beginning."""
    whole = path.relative_to(source).with_suffix("")
    called = [whole]
    if whole.name == DEPTH:
        called = [Path(photo).with_suffix("") for photo in _photo_of(path.parent)] + [whole.parent]
    for name in called:
        for start in range(len(name.parts)):
            yield "/".join(name.parts[start:])


def _photo_of(folder: Path) -> list[str]:
    """The path of the photo that `segdepth infer` made a folder of; none where it says nothing."""
    try:
        return [str(json.loads((folder / RECORD).read_text(encoding="utf-8"))["photo"]["path"])]
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not what it wrote
        return []
