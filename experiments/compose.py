"""Merge experiment YAMLs: what a file builds on, what a profile changes, what a later file overrides.

jsonargparse parses and type-checks one configuration but cannot include another and override it in the same file, so
the files are merged here, by OmegaConf, before LightningCLI sees them. Five keys are ours and never reach it:

``base``
    list of files that this one builds on, merged first, in order;
``profile``
    names the profile in force (``quick`` or ``paper``);
``profiles``
    sections by profile name; naming a profile applies the sections of all files merged so far, and later files override
    them;
``tests``
    further data sets to test on in the same run, by the names of their files (``data/nyuv2``), each under the protocol
    that its file names; becomes ``data.init_args.extra_tests`` and ``model.init_args.test_protocols``;
``instead``
    files by the names of those in whose place they are taken when they are named later: an experiment that trains on
    one data set and tests on another has its own counterpart of ``data/rooms``.
"""

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pydoc import locate
from typing import Any, cast

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.home_paths import expand_values

EXPERIMENTS = Path(__file__).parent


class ConfigError(ValueError):
    """A configuration that cannot be used: one line naming file, key and mend."""


@dataclass
class Composition:
    """Merged configuration.

    Attributes:
        config: what LightningCLI parses.
        profile: name of the profile in force.
        experiment: stem of the first file.
        sources: file that set each dotted key last.
    """

    config: dict[str, Any]
    profile: str
    experiment: str
    sources: dict[str, str] = field(default_factory=dict)


def experiment_names() -> list[str]:
    """Names of the experiments that come with the suite."""
    return sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))


def find_config(name: str, relative_to: Path | None = None) -> Path:
    """Path of a configuration: a file, or a name relative to ``relative_to`` or to the suite's ``experiments`` folder.

    Raises:
        ConfigError: if there is none, with the list of experiments.
    """
    folders = [Path(), *([relative_to] if relative_to else []), EXPERIMENTS]
    for folder in folders:
        for candidate in (folder / name, folder / f"{name}.yaml"):
            if candidate.is_file():
                return candidate
    raise ConfigError(f"no experiment or configuration `{name}`; experiments: {', '.join(experiment_names())}")


def compose(names: Sequence[str]) -> Composition:
    """Merge configurations in order; see the module's text for the keys ``base``, ``profile`` and ``profiles``.

    Raises:
        ConfigError: for a missing file, broken YAML, an unknown profile, or an interpolation that does not resolve.
    """
    experiment = find_config(names[0]).stem if names else ""
    merged = OmegaConf.create({})
    sections: DictConfig = OmegaConf.create({})
    sources: dict[str, str] = {}
    profile = ""
    counterparts: dict[Path, Path] = {}
    for path, content in _expand_all(names, counterparts):
        sections = _merge(sections, OmegaConf.create(content.pop("profiles", {})))
        layers = [content]
        if "profile" in content:
            profile = content.pop("profile")
            layers.append(cast(dict[str, Any], OmegaConf.to_container(sections.get(profile, OmegaConf.create({})))))
        for layer in layers:
            merged = _merge(merged, OmegaConf.create(layer))
            sources |= dict.fromkeys(_dotted_keys(layer), min(str(path), os.path.relpath(path), key=len))
    try:
        config = cast(dict[str, Any], expand_values(OmegaConf.to_container(merged, resolve=True)))
    except OmegaConfBaseException as error:
        raise ConfigError(_explain_interpolation(error, sources)) from error
    _add_tests(config, sources.get("tests", "configuration"))
    return Composition(config, profile, experiment, sources)


def _add_tests(config: dict[str, Any], source: str) -> None:
    """Replace ``tests`` by the data sets that it names, and their protocols."""
    names = config.pop("tests", None) or []
    if not names:
        return
    arguments = config.setdefault("model", {}).setdefault("init_args", {})
    extra, protocols = [], []
    for name in names:
        tested = compose([name]).config
        if "class_path" not in tested.get("data", {}):
            raise ConfigError(f"{source}: key `tests`: `{name}` configures no data set")
        extra.append(tested["data"])
        protocols.append(tested.get("model", {}).get("init_args", {}).get("protocol", arguments.get("protocol")))
    config.setdefault("data", {}).setdefault("init_args", {})["extra_tests"] = extra
    arguments["test_protocols"] = protocols


def _expand_all(names: Sequence[str], counterparts: dict[Path, Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Contents of all files, of a file's counterpart where one that was merged before names it (``instead``)."""
    for name in names:
        path = find_config(name).resolve()
        for expanded, content in _expand([counterparts.get(path, find_config(name))]):
            for there, here in (content.pop("instead", None) or {}).items():
                counterparts[find_config(there).resolve()] = find_config(here, relative_to=expanded.parent)
            yield expanded, content


def _expand(paths: Sequence[Path], including: tuple[Path, ...] = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Contents of the files and, before each, of what it builds on."""
    for path in paths:
        if path in including:
            raise ConfigError(f"{path}: key `base` includes itself through {' -> '.join(map(str, including))}")
        content = _read(path)
        base = [find_config(name, relative_to=path.parent) for name in content.pop("base", None) or []]
        yield from _expand(base, (*including, path))
        yield path, content


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}:{where} is not valid YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a configuration is a mapping, this file holds a {type(content).__name__}")
    return content


def _merge(first: DictConfig, second: DictConfig) -> DictConfig:
    """The second over the first; where it names another class, arguments that only the first's has are forgotten."""
    kept = _without_foreign_arguments(_plain(first), _plain(second))
    return cast(DictConfig, OmegaConf.merge(OmegaConf.create(kept), second))


def _plain(config: DictConfig) -> dict[str, Any]:
    return cast(dict[str, Any], OmegaConf.to_container(config))


def _without_foreign_arguments(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    kept = dict(first)
    for key, new in second.items():
        old = first.get(key)
        if not isinstance(old, dict) or not isinstance(new, dict):
            continue
        kept[key] = _without_foreign_arguments(old, new)
        if new.get("class_path", old.get("class_path")) != old.get("class_path") and "init_args" in old:
            accepted = _arguments(new["class_path"])
            kept[key]["init_args"] = {
                name: value for name, value in kept[key]["init_args"].items() if accepted is None or name in accepted
            }
    return kept


def _arguments(class_path: str) -> set[str] | None:
    """Names that a class takes, those that it passes on to its parents included; None if there is no such class."""
    made = locate(class_path)
    if not isinstance(made, type):
        return None
    names: set[str] = set()
    for parent in made.__mro__:
        if "__init__" in vars(parent):
            parameters = inspect.signature(vars(parent)["__init__"]).parameters.values()
            names |= {parameter.name for parameter in parameters}
            if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
                break
    return names


def _dotted_keys(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        yield dotted
        if isinstance(value, Mapping):
            yield from _dotted_keys(value, f"{dotted}.")


def _explain_interpolation(error: OmegaConfBaseException, sources: Mapping[str, str]) -> str:
    key = error.full_key or ""
    message = str(error).splitlines()[0]
    if "DATA_ROOT" in message:
        message = (
            "DATA_ROOT is not set: set it to the folder that holds nyuv2/ (and the other data sets), "
            "or take the built-in set with `--config data/rooms`"
        )
    return f"{sources.get(key, 'configuration')}: key `{key}`: {message}"
