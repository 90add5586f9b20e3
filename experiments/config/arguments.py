"""Arguments of all commands, and the configurations that they name; without torch, so that a slip is told at once."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from experiments.config.compose import EXPERIMENTS, find_config
from experiments.config.error import ConfigError
from experiments.config.suggest import did_you_mean

#: Options of training and testing that are on or off, and are on where no value follows.
SWITCHES = frozenset(
    {"run.resume", "model.compile", "model.capture", "model.channels_last"}
    | {f"trainer.{name}" for name in ("benchmark", "detect_anomaly", "deterministic", "fast_dev_run")}
)


def take_flag(arguments: Sequence[str], *flags: str) -> tuple[list[str], list[str]]:
    """Separate the values of a flag (``--flag VALUE``, ``--flag=VALUE``), in order, from the other arguments.

    Args:
        arguments: of a command.
        flags: the spellings of the flag.
    """
    values, rest, remaining = [], [], iter(arguments)
    for argument in remaining:
        flag, equals, value = argument.partition("=")
        if argument in flags:
            values.append(next(remaining, ""))
        elif equals and flag in flags:
            values.append(value)
        else:
            rest.append(argument)
    return values, rest


@dataclass(frozen=True)
class Changes:
    """What a command line says of a configuration.

    Attributes:
        names: configurations, in the order in which they are merged.
        flags: that change what these say, such as ``--data.init_args.crop [96, 96]``.
    """

    names: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


def take_changes(arguments: Sequence[str], sections: Sequence[str]) -> tuple[Changes, list[str]]:
    """Separate what changes a configuration from the other arguments.

    Args:
        arguments: of a command.
        sections: of a configuration that flags may change, such as ``data``; a data set may be named alone, too.

    Raises:
        ConfigError: for a configuration that there is not, with the nearest.
    """
    kinds = [section for section in sections if section in ("data", "protocol")]
    named: dict[str, list[str]] = {kind: [] for kind in (*kinds, "config")}
    flags: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        flag, equals, value = argument.partition("=")
        section, dot, _ = flag.removeprefix("--").partition(".")
        if flag in ("--config", "-c"):
            named["config"].append(value if equals else next(remaining, ""))
        elif flag.startswith("--") and section in kinds and not dot:
            value = value if equals else next(remaining, "")
            if section == "data" and is_class(value):
                flags.append(f"{flag}={value}")
            else:
                named[section].append(named_config(section, value))
        elif flag.startswith("--") and section in sections and dot:
            flags += [argument] if equals or flag.endswith(".help") else [argument, next(remaining, "")]
        else:
            rest.append(argument)
    for name in named["config"]:
        find_config(name)
    # a data set names a protocol of its own, which another that is named replaces
    return Changes((*named.get("data", ()), *named["config"], *named.get("protocol", ())), tuple(flags)), rest


def is_class(value: str) -> bool:
    """Return whether a value of ``--data`` is a class path or configures a class; else it is a name or a file."""
    return ("." in value and not value.endswith((".yaml", ".yml")) and "/" not in value) or value.startswith("{")


def named_config(kind: str, name: str) -> str:
    """Return the configuration that a name stands for: ``nyuv2`` of the kind ``data`` is ``data/nyuv2``; or a file.

    Raises:
        ConfigError: if there is none, with the names that there are.
    """
    if (EXPERIMENTS / kind / f"{name}.yaml").is_file():
        return f"{kind}/{name}"
    if os.path.isfile(name):
        return name
    known = [path.stem for path in (EXPERIMENTS / kind).glob("*.yaml")]
    raise ConfigError(f"no {kind} configuration `{name}`; {_meant(name, known)}")


def named_file(kind: str, name: str, folder: Path) -> Path:
    """Return the path of a file, or of one that comes with the suite under its name.

    Args:
        kind: what it is, for the message.
        name: path, or name without ending.
        folder: where the suite's own are.

    Raises:
        ConfigError: if there is none, with the list of those that there are.
    """
    for path in (Path(name), folder / f"{name}.yaml"):
        if path.is_file():
            return path
    known = [path.stem for path in folder.glob("*.yaml")]
    raise ConfigError(f"no {kind} `{name}`; {_meant(name, known)}")


def _meant(name: str, known: Sequence[str]) -> str:
    meant = did_you_mean(name, known)
    return meant if meant.endswith("?") else f"{meant}, or name a file"


def take_data_names(arguments: Sequence[str]) -> list[str]:
    """Return the arguments, with the names at their head spelt out: ``nyuv2`` is ``--config data/nyuv2``."""
    rest = list(arguments)
    flags: list[str] = []
    while rest and not rest[0].startswith("-"):
        flags += ["--config", data_config(rest.pop(0))]
    return flags + rest


def data_config(name: str) -> str:
    """Return the configuration of a data set by its name; any other configuration by its own."""
    try:
        return named_config("data", name)
    except ConfigError:
        try:
            find_config(name)
        except ConfigError:
            pass
        else:
            return name
        raise


def spell_out(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command that trains or tests without the short forms that all commands have.

    ``--data NAME`` is ``--config data/NAME``, ``--protocol NAME`` is ``--config protocol/NAME``, ``--runs_root FOLDER``
    is ``--run.root FOLDER``, and ``--data_root FOLDER`` takes the place of DATA_ROOT, which it sets. One of
    :data:`SWITCHES` needs no value.
    """
    spelt: list[str] = []
    remaining = iter(say_true(arguments))
    for argument in remaining:
        flag, equals, value = argument.partition("=")
        if flag not in ("--data", "--protocol", "--data_root", "--runs_root"):
            spelt.append(argument)
            continue
        value = value if equals else next(remaining, "")
        if flag == "--data_root":
            os.environ["DATA_ROOT"] = value
        elif flag == "--runs_root":
            spelt.append(f"--run.root={value}")
        elif flag == "--data" and is_class(value):
            spelt.append(f"--data={value}")
        else:
            spelt += ["--config", named_config(flag.removeprefix("--"), value)]
    return spelt


def say_true(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``=true`` after each of :data:`SWITCHES` that has no value."""
    said = []
    for argument, following in zip_longest(arguments, arguments[1:], fillvalue="--"):
        alone = following.startswith("-") and argument.removeprefix("--").replace(".init_args.", ".") in SWITCHES
        said.append(f"{argument}=true" if alone else argument)
    return said


def check_names(arguments: Sequence[str]) -> None:
    """Check that the configurations which the command line of a training or test names are there.

    Raises:
        ConfigError: if one is not, with the nearest.
    """
    for name in take_flag(arguments, "--config", "-c", "--experiment")[0]:
        if name:
            find_config(name)
