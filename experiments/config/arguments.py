"""Arguments of all commands, and the configurations that they name; without torch, so that a slip is told at once."""

import os
from collections.abc import Sequence
from pathlib import Path

from experiments.config.compose import EXPERIMENTS, find_config
from experiments.config.error import ConfigError
from experiments.config.suggest import did_you_mean


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


def take_changes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate flags that change a configuration, ``--config``, ``--data.*`` and ``--model.*``, from the others."""
    changes, rest, remaining = [], [], iter(arguments)
    for argument in remaining:
        if argument.partition(".")[0].partition("=")[0] in ("--config", "-c", "--data", "--model"):
            changes += [argument] if "=" in argument else [argument, next(remaining, "")]
        else:
            rest.append(argument)
    return changes, rest


def named_config(kind: str, name: str) -> str:
    """Configuration that a name stands for: ``nyuv2`` of the kind ``data`` is ``data/nyuv2``; or a file of that name.

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
    """Path of a file, or of one that comes with the suite under its name.

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


def name_configs(arguments: Sequence[str]) -> list[str]:
    """The arguments, with the names at their head spelt out: ``nyuv2`` is ``--config data/nyuv2``."""
    rest = list(arguments)
    flags: list[str] = []
    while rest and not rest[0].startswith("-"):
        flags += ["--config", data_config(rest.pop(0))]
    return flags + rest


def data_config(name: str) -> str:
    """Configuration of a data set by its name; any other configuration by its own."""
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


def check_names(command: str, arguments: Sequence[str]) -> None:
    """Check that the configurations which a command line names are there.

    Raises:
        ConfigError: if one is not, with the nearest.
    """
    if command == "data":
        arguments = name_configs(arguments[1:])
    for name in take_flag(arguments, "--config", "-c", "--experiment")[0]:
        if name:
            find_config(name)
    if command == "evaluate":
        for kind in ("data", "protocol"):
            for name in take_flag(arguments, f"--{kind}")[0]:
                named_config(kind, name)
