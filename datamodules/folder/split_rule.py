"""Who is trained, validated and tested on which frames of a folder: lists, scenes, or shares of the scenes."""

import difflib
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from datamodules.files import number_lines, printable
from datamodules.folder.checked_keys import CheckedKeys
from datamodules.splits import Splits

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class SplitRule:
    """How frames are divided.

    Attributes:
        lists: list file of a part, relative to the folder, by part.
        scenes: names of scenes by part, `*` and `?` standing for any letters.
        shares: of the scenes, drawn by ``seed``, for ``val`` and ``test``; the others train. None without.
        seed: of the draw.
    """

    lists: Mapping[str, str] = field(default_factory=dict)
    scenes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shares: Mapping[str, float] | None = None
    seed: int = 0

    @property
    def parts(self) -> frozenset[str]:
        """Return the parts that frames are given to."""
        if self.shares is not None:
            return frozenset({"train", *(part for part, share in self.shares.items() if share)})
        return frozenset({*self.lists, *self.scenes})


def read_split_rule(file: Path, section: Any) -> SplitRule | None:
    """Read the section ``splits`` of a `dataset.yaml`; None where there is none.

    Raises:
        ValueError: if something is wrong with it: one line with file, key and fix.
    """
    if section is None:
        return None
    keys = CheckedKeys(file, section, (*PARTS, "fractions", "seed"), "splits")
    if "fractions" in keys:
        if named := [part for part in PARTS if part in keys]:
            raise keys.fault("fractions", f"and `splits.{named[0]}` both divide the frames; keep one")
        given = CheckedKeys(file, keys.get("fractions"), PARTS[1:], "splits.fractions")
        shares = {part: given.number(part) if given.get(part) else 0.0 for part in PARTS[1:]}
        if sum(share or 0.0 for share in shares.values()) >= 1:
            raise keys.fault("fractions", "add up to 1 or more, and nothing is left to train on; lower them")
        seed = keys.get("seed") or 0
        if not isinstance(seed, int) or seed < 0:
            raise keys.fault("seed", f"is {seed!r}, not a whole number from 0 on")
        return SplitRule(shares={part: share or 0.0 for part, share in shares.items()}, seed=seed)
    if "seed" in keys:
        raise keys.fault("seed", "draws nothing without `splits.fractions`; leave it out")
    lists, scenes = {}, {}
    for part in PARTS:
        value = keys.get(part)
        if isinstance(value, str):
            lists[part] = value
        elif isinstance(value, list):
            scenes[part] = tuple(str(name) for name in value)
        elif value is not None:
            raise keys.fault(part, f"is {value!r}; name a list file, or scenes such as [kitchen, hall]")
    if not lists and not scenes:
        raise keys.fault("", "names no part; give `train` and `test`, or `fractions`, or leave it out to test on all")
    return SplitRule(lists, scenes)


class Divided:
    """Divides frames by a rule.

    Args:
        folder: of the data set.
        file: its `dataset.yaml`, for messages.
        scenes: scene of every frame.
        names: of every frame, by each of which a list may call it.
    """

    def __init__(self, folder: Path, file: Path, scenes: Sequence[str], names: Sequence[Sequence[str]]):
        self.folder, self.file = folder, file
        self.scenes = [normal(scene) for scene in scenes]
        self.by_name: dict[str, list[int]] = {}
        self.by_scene: dict[str, list[int]] = {}
        for position, known in enumerate(names):
            self.by_scene.setdefault(self.scenes[position], []).append(position)
            for name in dict.fromkeys(map(normal, known)):
                self.by_name.setdefault(name, []).append(position)

    def by(self, rule: SplitRule | None) -> Splits:
        """Return the parts; without a rule all frames are tested on.

        Raises:
            FileNotFoundError: if a list is missing.
            ValueError: if a list or the rule names what there is not, or a frame twice.
        """
        if rule is None:
            return Splits([], [], range(len(self.scenes)))
        if rule.shares is not None:
            return self._drawn(rule.shares, rule.seed)
        found = {part: self._listed(part, name) for part, name in rule.lists.items()}
        found |= {part: self._in_scenes(part, names) for part, names in rule.scenes.items()}
        part_of: dict[int, str] = {}
        for part, positions in found.items():
            for position in positions:
                if part_of.setdefault(position, part) != part:
                    raise ValueError(
                        f"{printable(self.file)}: key `splits`: a frame of scene {self.scenes[position]!r} is in both "
                        f"`{part_of[position]}` and `{part}`; give it to one part"
                    )
        return Splits(*(sorted(found.get(part, [])) for part in PARTS))

    def _drawn(self, shares: Mapping[str, float], seed: int) -> Splits:
        """Give shares of the scenes, at least one for each part that has a share, to validation and test."""
        order = np.random.default_rng(seed).permutation(sorted(set(self.scenes))).tolist()
        counts = {part: max(1, round(share * len(order))) if share else 0 for part, share in shares.items()}
        if sum(counts.values()) >= len(order):
            raise ValueError(
                f"{printable(self.file)}: key `splits.fractions`: of {len(order)} scenes none is left to train on; "
                "lower them, or put frames into more folders"
            )
        chosen = dict.fromkeys(order, "train")
        for part, count in counts.items():
            chosen |= dict.fromkeys([scene for scene in order if chosen[scene] == "train"][:count], part)
        return Splits(*([p for p, scene in enumerate(self.scenes) if chosen[scene] == part] for part in PARTS))

    def _in_scenes(self, part: str, names: Sequence[str]) -> list[int]:
        known = set(self.scenes)
        wanted: set[str] = set()
        for name in map(normal, names):
            matched = {scene for scene in known if scene == name or fnmatchcase(scene, name)}
            if not matched:
                raise ValueError(
                    f"{printable(self.file)}: key `splits.{part}`: there is no scene {name!r}; {_meant(name, known)}"
                )
            wanted |= matched
        return [position for position, scene in enumerate(self.scenes) if scene in wanted]

    def _listed(self, part: str, name: str) -> list[int]:
        path = self.folder / name
        found: list[int] = []
        for number, line in number_lines(
            path, f"`splits.{part}` of {self.file.name} names it: a frame or scene a line"
        ):
            wanted = normal(line.replace("\\", "/").strip("/"))
            frames = self.by_name.get(wanted) or self.by_name.get(str(PurePosixPath(wanted).with_suffix("")), [])
            if len(frames) > 1:
                raise ValueError(f"{printable(path)}:{number}: {line!r} names {len(frames)} frames; add their folder")
            if not (positions := frames or self.by_scene.get(wanted, [])):
                known = (*self.by_name, *self.by_scene)
                raise ValueError(
                    f"{printable(path)}:{number}: there is no frame or scene {line!r}; {_meant(wanted, known)}"
                )
            found += positions
        return sorted(set(found))


def normal(name: str) -> str:
    """Return a name in one form: macOS writes an accented letter as two characters."""
    return unicodedata.normalize("NFC", name)


def _meant(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {len(set(known))}, such as {sorted(known)[0]!r}"
