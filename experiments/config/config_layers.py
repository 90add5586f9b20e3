"""Lays configuration files over each other: later over earlier, a profile's sections where it is named."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from pydoc import locate
from typing import Any

from experiments.config.class_arguments import argument_names
from experiments.config.error import ConfigError
from experiments.config.suggest import did_you_mean
from experiments.config.yaml_file import ConfigFile

EXPERIMENTS = Path(__file__).resolve().parents[1]

#: The suite's profiles, which are for every method: they say nothing of arguments that a method does not have.
PROFILES = EXPERIMENTS / "profile"

#: File, and line in it or 0.
Place = tuple[str, int]


class Layers:
    """Files merged so far, with the place where each key was set last."""

    def __init__(self) -> None:
        self.merged: dict[str, Any] = {}
        self.profile = ""
        self._profile_place = ""
        self._no_model = ""
        self.places: dict[str, Place] = {}
        self.removed: list[str] = []
        self._sections: dict[str, Any] = {}
        self._section_places: dict[str, Place] = {}

    def add(self, file: ConfigFile) -> None:
        """Merge a file; one that names a profile is followed by that profile's sections of all files."""
        content = dict(file.content)
        if file.path.resolve().parent == PROFILES:
            content = _for_class(content, "model", self.merged.get("model"))
        self.removed += file.removed
        shown = min(str(file.path), os.path.relpath(file.path), key=len)
        sections = content.pop("profiles", None) or {}
        places = {key: (shown, file.lines.get(f"profiles.{key}", 0)) for key in _dotted_keys(sections)}
        self._sections = _merge(self._sections, sections, self._section_places, places)
        self._section_places |= places
        named, no_model = "profile" in content, content.pop("no_model", "")
        if named:
            self.profile, self._no_model = content.pop("profile"), no_model
            self._profile_place = f"{shown}:{file.lines.get('profile', 1)}"
        self._put(content, {key: (shown, file.lines.get(key, 0)) for key in _dotted_keys(content)})
        if named:
            section = self._sections.get(self.profile) or {}
            start = f"{self.profile}."
            own = {key.removeprefix(start): p for key, p in self._section_places.items() if key.startswith(start)}
            self._put(section, {key: own[key] for key in _dotted_keys(section)})

    def check_profile(self, experiment: str) -> None:
        """Check that the profile in force is one of the suite's, or has a section in a file, and suits the experiment.

        Args:
            experiment: name, for the message.

        Raises:
            ConfigError: naming the nearest, or what to take instead.
        """
        known = {*self._sections, *(path.stem for path in PROFILES.glob("*.yaml"))}
        if self.profile and self.profile not in known:
            meant = did_you_mean(self.profile, known)
            raise ConfigError(f"{self._profile_place}: key `profile`: no profile `{self.profile}`; {meant}")
        if self._no_model and not (self._sections.get(self.profile) or {}).get("model"):
            raise ConfigError(f"`{experiment}` has no profile `{self.profile}`: {self._no_model}")

    def _put(self, content: dict[str, Any], places: dict[str, Place]) -> None:
        self.merged = _merge(self.merged, content, self.places, places)
        self.places |= places


def _merge(
    first: Mapping[str, Any], second: Mapping[str, Any], before: Mapping[str, Place], after: Mapping[str, Place]
) -> dict[str, Any]:
    """The second over the first; where it names another class, what is of the first's alone is forgotten.

    That is arguments that the second's has not, and steps of ``preprocess`` that change the truth.

    Raises:
        ConfigError: where one has a mapping and the other a list, naming both places.
    """
    for key, new_kind, old_kind in _conflicts(first, second):
        (file, line), there = after[key], before.get(key, ("", 0))
        earlier = f" in {there[0]}:{there[1]}" if there[1] else ""
        raise ConfigError(f"{file}:{line}: key `{key}` is a {new_kind}, but a {old_kind}{earlier}")
    return _over(_without_foreign_arguments(dict(first), second), second)


def _over(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """What ``OmegaConf.merge`` gives of plain mappings, without making nodes of all that both hold."""
    merged = dict(first)
    for key, value in second.items():
        present = merged.get(key)
        if isinstance(value, Mapping) and isinstance(present, Mapping):
            value = _over(present, value)
        merged[key] = value
    return merged


def _conflicts(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Keys of which one side has a mapping and the other a list, with what the new side has and what the old."""
    for key, value in new.items():
        present = old.get(key)
        if isinstance(value, Mapping) and isinstance(present, Mapping):
            yield from _conflicts(present, value, f"{prefix}{key}.")
        elif isinstance(value, Mapping) and isinstance(present, list):
            yield f"{prefix}{key}", "mapping", "list"
        elif isinstance(value, list) and isinstance(present, Mapping):
            yield f"{prefix}{key}", "list", "mapping"


def _without_foreign_arguments(first: dict[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(first)
    for key, new in second.items():
        old = first.get(key)
        if not isinstance(old, dict) or not isinstance(new, dict):
            continue
        kept[key] = _without_foreign_arguments(old, new)
        if new.get("class_path", old.get("class_path")) != old.get("class_path") and "init_args" in old:
            accepted = _arguments(new["class_path"])
            arguments = kept[key]["init_args"]
            if "preprocess" not in (new.get("init_args") or {}):
                arguments = _without_steps_of_data(arguments)
            kept[key]["init_args"] = {
                name: value for name, value in arguments.items() if accepted is None or name in accepted
            }
    return kept


def _without_steps_of_data(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a data set, without steps of ``preprocess`` that prepare the truth of its own frames.

    Evaluation is then at the next set's own size. What a method does to colours stays, and where frames were only
    resized, the network goes on seeing them at that size (``resize``, which leaves the truth alone).
    """
    steps = arguments.get("preprocess")
    if not isinstance(steps, list) or not all(isinstance(step, Mapping) for step in steps):
        return arguments
    dropped = [step for step in steps if getattr(locate(str(step.get("class_path"))), "changes_truth", False)]
    changed = {**arguments, "preprocess": [step for step in steps if step not in dropped]}
    if [str(step["class_path"]).rpartition(".")[2] for step in dropped] == ["ResizeFrame"]:
        changed["resize"] = arguments.get("resize") or dropped[0]["init_args"]["size"]
    return changed


def _for_class(content: dict[str, Any], section: str, configured: Any) -> dict[str, Any]:
    """Return a file's content without the arguments that a section's class, configured before, does not take."""
    own, class_path = content.get(section) or {}, (configured or {}).get("class_path")
    accepted = _arguments(class_path) if class_path else None
    if accepted is None or "init_args" not in own:
        return content
    taken = {name: value for name, value in own["init_args"].items() if name in accepted}
    return {**content, section: {**own, "init_args": taken}}


def _arguments(class_path: str) -> frozenset[str] | None:
    """Return the names that a class takes; None if there is no such class."""
    made = locate(class_path)
    return argument_names(made) if isinstance(made, type) else None


def _dotted_keys(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        yield dotted
        if isinstance(value, Mapping):
            yield from _dotted_keys(value, f"{dotted}.")
