"""Which photos a command line means: files, folders and patterns."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from datamodules.files import printable
from experiments.config.error import ConfigError
from experiments.inference.video_reader import SUFFIXES as VIDEO_SUFFIXES

#: Endings of photos that are taken from a folder; a file that is named itself may have any.
SUFFIXES = (
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png",
    ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip

#: Those of videos, but `.ts`, which programs in TypeScript have as well.
VIDEOS = tuple(suffix for suffix in VIDEO_SUFFIXES if suffix != ".ts")


def find_photos(names: Sequence[str], output: Path) -> list[Path]:
    """Return the photos and videos that names stand for, in order, each once.

    A folder stands for those in it and in the folders below, but for hidden ones and for ``output``. Links are
    followed, each folder once: a loop has an end.

    Args:
        names: files, folders and patterns such as ``photos/*.jpg``.
        output: folder that results are written to.

    Raises:
        ConfigError: if a name stands for nothing.
    """
    found: dict[str, Path] = {}
    for name in names:
        path = Path(name).expanduser()
        if os.path.isdir(path):
            photos = list(photos_below(path, output))
            listed = f"has no photos ({', '.join(SUFFIXES)}) or videos ({', '.join(VIDEOS)})"
            nothing = f"{printable(path)}: {listed}; name another folder"
        elif os.path.lexists(path):
            photos, nothing = [path], ""
        else:
            photos = sorted(map(Path, glob.glob(str(path), recursive=True)))
            photos = [each for each in photos if not each.is_dir()]
            nothing = f"{printable(path)}: no such file, folder or pattern that fits one; name photos that are there"
        if not photos:
            raise ConfigError(nothing)
        for photo in photos:
            found.setdefault(os.path.realpath(photo), photo)
    return list(found.values())


def photos_below(folder: Path, output: Path) -> Iterator[Path]:
    """Yield the photos and videos of a folder and the folders below it, by name.

    Args:
        folder: where to look.
        output: folder that is left out.
    """
    left_out = os.path.realpath(output)
    seen = {left_out} if os.path.realpath(folder) != left_out else set()
    for place, folders, files in os.walk(folder, followlinks=True):
        here = os.path.realpath(place)
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in (*SUFFIXES, *VIDEOS):
                yield Path(place, name)
