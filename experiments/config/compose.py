"""Merge experiment YAMLs: what a file builds on, what a profile changes, what a later file overrides.

jsonargparse parses and type-checks one configuration but cannot include another and override it in the same file, so
the files are merged here, by OmegaConf, before LightningCLI sees them. Six keys are ours and never reach it:

``base``
    list of files that this one builds on, merged first, in order;
``profile``
    names the profile in force (``quick``, ``lite`` or ``paper``);
``profiles``
    sections by profile name; naming a profile applies the sections of all files merged so far, and later files override
    them;
``no_model``
    of a profile that is made for some experiments only: what to say where none of the sections has a ``model``;
``tests``
    further data sets to test on in the same run, by the names of their files (``data/nyuv2``), each under the protocol
    that its file names; becomes ``data.init_args.extra_tests`` and ``model.init_args.test_protocols``;
``instead``
    files by the names of those in whose place they are taken when they are named later: an experiment that trains on
    one data set and tests on another has its own counterpart of ``data/rooms``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config import dataset_yaml
from experiments.config.config_layers import EXPERIMENTS as EXPERIMENTS
from experiments.config.config_layers import Layers
from experiments.config.error import ConfigError as ConfigError
from experiments.config.flag_values import flag_values, resolve, spelt_out
from experiments.config.home_paths import expand_values
from experiments.config.old_names import warn_of_removed
from experiments.config.suggest import did_you_mean
from experiments.config.yaml_file import ConfigFile, read_config

dataset_yaml.register()


@dataclass
class Composition:
    """Merged configuration.

    Attributes:
        config: what LightningCLI parses.
        profile: name of the profile in force.
        experiment: stem of the first file.
        sources: file that set each dotted key last; what a flag has set is not in it.
        lines: line of the key in that file, where it is known.
        flags: dotted keys that the command line sets, spelt out, in order.
    """

    config: dict[str, Any]
    profile: str
    experiment: str
    sources: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    def place(self, key: str) -> str:
        """Return where a key was set: ``file:line``, or the command line."""
        if key not in self.sources:
            # an element of a list has no place of its own, nor has what a whole mapping was given for
            parents = [key[:end] for end in range(len(key)) if key[end] == "." and key[:end] in self.sources]
            if not parents or any(f"{key}.".startswith(f"{flag}.") for flag in self.flags):
                return "command line"
            key = parents[-1]
        return f"{self.sources[key]}:{self.lines[key]}" if key in self.lines else self.sources[key]


def experiment_names() -> list[str]:
    """Return names of the experiments that come with the suite."""
    return sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))


def find_config(name: str, relative_to: Path | None = None) -> Path:
    """Return the path of a configuration: a file, or a name in ``relative_to`` or the suite's ``experiments``.

    Raises:
        ConfigError: if there is none, with the nearest names.
    """
    folders = [Path(), *([relative_to] if relative_to else []), EXPERIMENTS]
    for folder in folders:
        for candidate in (folder / name, folder / f"{name}.yaml"):
            if candidate.is_file():
                return candidate
    kind = Path(name).parent
    if kind != Path() and (EXPERIMENTS / kind).is_dir():  # `data/nyu2` is meant to be a data set
        there = [path.stem for path in (EXPERIMENTS / kind).glob("*.yaml")]
        meant = did_you_mean(Path(name).stem, there, prefix=f"{kind}/")
    else:
        own = [path.name for folder in folders[:-1] for path in folder.glob("*.yaml")]
        meant = did_you_mean(name, [*experiment_names(), *own], "`make` lists all")
    raise ConfigError(f"no experiment or configuration `{name}`; {meant}")


def written_section(name: str, section: str) -> dict[str, Any]:
    """Return a section of a configuration as its files have it, profiles aside: each of its keys from the last file.

    What a key of ``init_args`` holds is not merged with that of another file, and nothing is resolved.

    Args:
        name: of a configuration.
        section: such as ``model``.

    Raises:
        ConfigError: for a missing or broken file.
    """
    found: dict[str, Any] = {}
    for file in _expand([find_config(name)]):
        written = file.content.get(section) or {}
        arguments = {**(found.get("init_args") or {}), **(written.get("init_args") or {})}
        found |= {**written, "init_args": arguments}
    return found


def compose(names: Sequence[str], flags: Sequence[str] = ()) -> Composition:
    """Merge configurations in order; see the module's text for the keys ``base``, ``profile`` and ``profiles``.

    Args:
        names: of configurations.
        flags: rest of the command line. Interpolations see what they set; they are not merged in.

    Raises:
        ConfigError: for a missing file, broken YAML, a list in the place of a mapping, or an interpolation that does
            not resolve.
    """
    experiment = find_config(names[0]).stem if names else ""
    layers = Layers()
    counterparts: dict[Path, Path] = {}
    for file in _expand_all(names, counterparts):
        layers.add(file)
    layers.check_profile(experiment)
    warn_of_removed(layers.removed)
    merged, places = layers.merged, layers.places
    set_by_flags = {spelt_out(key, merged): value for key, value in flag_values(flags)}
    for key in list(places):
        if any(key == flag or key.startswith(f"{flag}.") for flag in set_by_flags):
            del places[key]
    sources = {key: place[0] for key, place in places.items()}
    lines = {key: place[1] for key, place in places.items() if place[1]}
    try:
        config = cast(dict[str, Any], expand_values(resolve(OmegaConf.create(merged), set_by_flags)))
    except OmegaConfBaseException as error:
        raise ConfigError(_explain_interpolation(error, Composition({}, "", "", sources, lines))) from error
    _add_tests(config, sources.get("tests", "configuration"))
    return Composition(config, layers.profile, experiment, sources, lines, tuple(set_by_flags))


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


def _expand_all(names: Sequence[str], counterparts: dict[Path, Path]) -> Iterator[ConfigFile]:
    """All files, a file's counterpart where one that was merged before names it (``instead``)."""
    for name in names:
        path = find_config(name).resolve()
        for file in _expand([counterparts.get(path, find_config(name))]):
            for there, here in (file.content.pop("instead", None) or {}).items():
                counterparts[find_config(there).resolve()] = find_config(here, relative_to=file.path.parent)
            yield file


def _expand(paths: Sequence[Path], including: tuple[Path, ...] = ()) -> Iterator[ConfigFile]:
    """The files and, before each, what it builds on."""
    for path in paths:
        if path in including:
            raise ConfigError(f"{path}: key `base` includes itself through {' -> '.join(map(str, including))}")
        file = read_config(path)
        base = [find_config(name, relative_to=path.parent) for name in file.content.pop("base", None) or []]
        yield from _expand(base, (*including, path))
        yield file


def _own_error(error: BaseException | None) -> str:
    """What an interpolation of the suite's own says is wrong; empty where it is OmegaConf that says it."""
    while error is not None and not isinstance(error, ConfigError):
        error = error.__cause__ or error.__context__
    return str(error or "")


def _explain_interpolation(error: OmegaConfBaseException, composition: Composition) -> str:
    if own := _own_error(error):
        return own
    key = error.full_key or ""
    message = str(error).splitlines()[0]
    if "DATA_ROOT" in message:
        message = (
            "DATA_ROOT is not set: set it to the folder that holds nyuv2/ (and the other data sets), or name this one "
            f"itself (`--{key} FOLDER`), or take the built-in set with `--config data/rooms`"
        )
    where = composition.place(key) if key in composition.sources else "configuration"
    return f"{where}: key `{key}`: {message}"
