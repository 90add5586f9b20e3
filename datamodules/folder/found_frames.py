"""The frames of a folder: every image with the depth map and whatever else belongs to it."""

import os
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from datamodules.files import printable
from datamodules.folder.description import DESCRIPTION_FILE, Description
from datamodules.folder.split_rule import normal
from datamodules.folder.templates import ENDINGS, fill, has_ending, pattern


@dataclass(frozen=True)
class FoundFrame:
    """One frame.

    Attributes:
        scene: its folder; its own name where there are no folders of scenes.
        name: of its image, without folder and ending.
        files: by kind, ``rgb`` first; of a file that is not there, the path at which it was looked for.
        missing: kinds whose file is not there.
        names: by each of which a list of frames may call it.
    """

    scene: str
    name: str
    files: Mapping[str, Path]
    missing: frozenset[str]
    names: tuple[str, ...]


def find_frames(folder: Path, description: Description) -> list[FoundFrame]:
    """Find the frames of a folder, by scene, then by name, numbers in names counting as numbers.

    A kind that no frame has is not there; of a kind that some have, each frame must have one.

    Raises:
        FileNotFoundError: if there is no image, saying where it was looked for.
        ValueError: if two files could be of one frame.
    """
    paths = _Paths(folder)
    images = paths.matching(description.files["rgb"], "rgb")
    if not images:
        raise FileNotFoundError(
            f"{printable(folder)}: there is no image at `{description.files['rgb']}` ({', '.join(ENDINGS['rgb'])}); "
            f"put images there, or say where they are in {DESCRIPTION_FILE} (`files.rgb`)"
        )
    templates = {kind: template for kind, template in description.files.items() if kind != "rgb"}
    if description.camera.file is not None:
        templates["camera"] = description.camera.file
    found = {
        kind: paths.partners(template, kind, images, description.seconds if kind != "camera" else None)
        for kind, template in templates.items()
    }
    kinds = [kind for kind in found if found[kind] or kind in ("depth", "camera")]
    frames = []
    for (scene, name), image in sorted(images.items(), key=lambda item: [_natural(part) for part in item[0]]):
        if description.seconds is not None and (scene, name) not in found["depth"]:
            continue  # a camera and a depth sensor that run by themselves: not every image has a partner
        expected = {kind: PurePosixPath(fill(templates[kind], scene, name)) for kind in kinds}
        files = {kind: found[kind].get((scene, name), expected[kind]) for kind in kinds}
        missing = frozenset(kind for kind in kinds if (scene, name) not in found[kind])
        short = f"{scene}/{name}" if scene else name
        names = (str(image), str(image.with_suffix("")), short, name)
        absolute = {"rgb": folder / image, **{kind: folder / path for kind, path in files.items()}}
        frames.append(FoundFrame(normal(scene or name), name, absolute, missing, names))
    if not frames:
        raise FileNotFoundError(
            f"{printable(folder)}: no depth map is within {description.seconds} s of any of {len(images)} images; look "
            f"at `files.depth` and `pairs.within_seconds` in {DESCRIPTION_FILE}"
        )
    return frames


_Key = tuple[str, str]


class _Paths:
    """The files below a folder, links followed, hidden ones left out."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.all = sorted(self._walk())
        self.by_name = {normal(str(path)): path for path in self.all}
        self.by_stem: dict[str, list[PurePosixPath]] = {}
        for path in self.all:
            self.by_stem.setdefault(normal(str(path.with_suffix(""))), []).append(path)

    def _walk(self) -> Iterator[PurePosixPath]:
        seen: set[str] = set()
        for place, folders, files in os.walk(self.folder, followlinks=True):
            real = os.path.realpath(place)
            folders[:] = [] if real in seen else [name for name in folders if not name.startswith(".")]
            if real not in seen:
                relative = PurePosixPath(os.path.relpath(place, self.folder))
                yield from (relative / name for name in files if not name.startswith("."))
            seen.add(real)

    def matching(self, template: str, kind: str) -> dict[_Key, PurePosixPath]:
        """Return the files of a template, by scene and name of the frame; raises ValueError for two of one frame."""
        wanted, found = pattern(template, ENDINGS[kind]), dict[_Key, PurePosixPath]()
        for path in self.all:
            if (match := wanted.fullmatch(str(path))) is None:
                continue
            groups = match.groupdict()
            key = (groups.get("scene") or "", groups.get("frame") or path.stem)
            if key in found:
                raise ValueError(
                    f"{printable(self.folder / found[key])} and {path.name} would be one frame; keep one of them"
                )
            found[key] = path
        return found

    def partners(
        self, template: str, kind: str, images: Mapping[_Key, PurePosixPath], seconds: float | None
    ) -> dict[_Key, PurePosixPath]:
        """Return the file of a kind that belongs to each image, as far as it is there.

        It has the name that the template gives it. Of files that are named by time it is the nearest, ``seconds`` away
        at most. Where a folder holds one image and one file, as SUN RGB-D's do, the two belong together.
        """
        if seconds is not None:
            return _by_time(self.matching(template, kind), images, seconds)
        found = {}
        alone = None
        for key in images:
            if path := self._named(fill(template, *key), kind, has_ending(template, ENDINGS[kind])):
                found[key] = path
            elif "{frame}" in template:
                alone = self._alone(template, kind, images) if alone is None else alone
                if key in alone:
                    found[key] = alone[key]
        return found

    def _named(self, name: str, kind: str, with_ending: bool) -> PurePosixPath | None:
        name = normal(name)
        if with_ending:
            return self.by_name.get(name)
        endings = ENDINGS[kind]
        stem = str(PurePosixPath(name))
        candidates = [path for path in self.by_stem.get(stem, []) if path.suffix.lower() in endings] or [
            path for ending in endings if (path := self.by_name.get(f"{name}{ending}"))
        ]
        if len(candidates) > 1:
            raise ValueError(
                f"{printable(self.folder / candidates[0])} and {candidates[1].name} would be of one frame; keep one, "
                f"or give `files.{kind}` its ending"
            )
        return candidates[0] if candidates else None

    def _alone(self, template: str, kind: str, images: Mapping[_Key, PurePosixPath]) -> dict[_Key, PurePosixPath]:
        """Files that are the only one of their scene, by the only image of it."""
        by_scene: dict[str, list[PurePosixPath]] = {}
        for (scene, _), path in self.matching(template, kind).items():
            by_scene.setdefault(normal(scene), []).append(path)
        in_scene: dict[str, list[_Key]] = {}
        for key in images:
            in_scene.setdefault(normal(key[0]), []).append(key)
        return {
            keys[0]: by_scene[scene][0]
            for scene, keys in in_scene.items()
            if scene and len(keys) == 1 and len(by_scene.get(scene, ())) == 1
        }


def _by_time(
    files: Mapping[_Key, PurePosixPath], images: Mapping[_Key, PurePosixPath], seconds: float
) -> dict[_Key, PurePosixPath]:
    """Pair images and files of a scene whose names are times: the nearest first, each once, as TUM's tools do."""
    found: dict[_Key, PurePosixPath] = {}
    for scene in dict.fromkeys(scene for scene, _ in images):
        times = {_time(name): (scene, name) for own, name in images if own == scene}
        others = {_time(name): path for (own, name), path in files.items() if own == scene}
        ordered = sorted(others)
        near = (
            (abs(time - other), time, other)
            for time in times
            for other in ordered[bisect_left(ordered, time - seconds) : bisect_right(ordered, time + seconds)]
        )
        used: set[float] = set()
        for _, time, other in sorted(near):
            if times[time] not in found and other not in used:
                found[times[time]] = others[other]
                used.add(other)
    return found


def _time(name: str) -> float:
    try:
        return float(name)
    except ValueError as error:
        raise ValueError(
            f"{name!r} is not a time in seconds, by which `pairs` pairs files; name both files of a frame alike, and "
            f"leave `pairs` out of {DESCRIPTION_FILE}"
        ) from error


def _natural(name: str) -> list[tuple[int, int, str]]:
    """What names are sorted by: `2` before `10`, capitals aside."""
    parts = re.split(r"([0-9]+)", normal(name))
    return [(0, int(part), part) if part.isdigit() and part.isascii() else (1, 0, part.casefold()) for part in parts]
