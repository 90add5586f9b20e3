"""Where the files of each photo go: a folder under its own name, that no other photo shares."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.files import names_in, printable
from experiments.inference.photo_files import read_record


@dataclass(frozen=True)
class Place:
    """A photo and where its files go.

    Attributes:
        photo: the photo's file.
        folder: of its files.
        source: what the folder's record says of the photo.
        finished: whether its files are there already, made of the same file in the same way.
        problem: why nothing can be made of it here, in one line; empty for nothing.
    """

    photo: Path
    folder: Path
    source: dict[str, Any]
    finished: bool
    problem: str = ""

    @property
    def name(self) -> str:
        """Return the photo's path, for messages."""
        return printable(self.photo)


def find_places(
    photos: Sequence[Path], output: Path, settings: Mapping[str, Any], *, overwrite: bool = False
) -> list[Place]:
    """Return where the files of some photos go.

    A photo's folder is called as the file, without its ending; where two would be called the same, with the ending,
    with the name of the folder it lies in, or with a number.

    Args:
        photos: files.
        output: folder for all.
        settings: run and options that results depend on, as plain JSON.
        overwrite: whether results of other settings, or of a file that has changed, are replaced.
    """
    made = finished_photos(output)
    taken = {name.casefold() for name in names_in(output)}
    places = []
    for photo in photos:
        source = describe(photo)
        name, record = made.get(source["path"], ("", {}))
        if not name:
            name = next(name for name in names_for(photo) if name.casefold() not in taken)
            taken.add(name.casefold())
        same = (record.get("photo"), record.get("settings")) == (source, dict(settings))
        problem = ""
        if record and not same and not overwrite:
            changed = "by another run, or with other options" if record["photo"] == source else "of another state of it"
            problem = (
                f"{printable(photo)}: {printable(output / name)} was made {changed}; choose another `--output`, or "
                "`--overwrite`"
            )
        places.append(Place(photo, output / name, source, bool(record) and same and not overwrite, problem))
    return places


def finished_photos(output: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return name and record of each photo's folder in a folder of results, by the path of the photo."""
    found = {}
    for name in sorted(names_in(output)):
        if (record := read_record(output / name)) is not None:
            found[str(record["photo"].get("path"))] = (name, record)
    return found


def names_for(photo: Path) -> Iterator[str]:
    """Yield names that a photo's folder may have, the best first."""
    stem = photo.stem.lstrip(".") or "photo"
    yield stem
    yield f"{stem}_{photo.suffix.lstrip('.').lower()}" if photo.suffix else f"{stem}_photo"
    parent = photo.absolute().parent.name
    if parent:
        yield f"{parent}_{stem}"
    number = 2
    while True:
        yield f"{stem}_{number}"
        number += 1


def describe(photo: Path) -> dict[str, Any]:
    """Return what tells a photo's file from others, and from itself after a change, as plain JSON."""
    try:
        state = photo.stat()
        size, changed = state.st_size, state.st_mtime_ns
    except OSError:  # told when it is read
        size, changed = 0, 0
    return {"path": printable(os.path.realpath(photo)), "bytes": size, "changed": changed}
