"""Folders of frames of one's own below `DATA_ROOT`: those with a `dataset.yaml`."""

from dataclasses import dataclass
from pathlib import Path

from datamodules.files import printable
from datamodules.folder.description import DESCRIPTION_FILE, read_description
from datamodules.folder.found_frames import find_frames


@dataclass(frozen=True)
class OwnSet:
    """A folder with a `dataset.yaml`.

    Attributes:
        folder: that holds it.
        found: its name and number of frames, or nothing where it cannot be used.
        missing: what is wrong with it, or frames that lack a file; empty for nothing.
    """

    folder: Path
    found: str
    missing: str


def find_own_sets(root: Path) -> list[OwnSet]:
    """Return what there is in a folder itself, and in each folder in it, by name."""
    places = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    return [look_at(place) for place in places if (place / DESCRIPTION_FILE).is_file()]


def look_at(folder: Path) -> OwnSet:
    """Return what a folder with a `dataset.yaml` holds."""
    try:
        description = read_description(folder)
        frames = find_frames(folder, description)
    except (OSError, ValueError) as error:
        return OwnSet(folder, "", f"damaged: {error}")
    lacking = [frame for frame in frames if frame.missing]
    missing = ""
    if lacking:
        missing = f"{len(lacking):,} frames lack a file: {printable(lacking[0].files[min(lacking[0].missing)])}"
    return OwnSet(folder, f"{description.name}: {len(frames):,} frames (`--data folder --data.root …`)", missing)
