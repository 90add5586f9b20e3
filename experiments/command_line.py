"""What commands share that read a data set with a parser of their own, outside LightningCLI."""

import os
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, Namespace

from datamodules import DepthDataModule
from experiments.compose import EXPERIMENTS, Composition, ConfigError
from experiments.explain import explain


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
    known = sorted(path.stem for path in (EXPERIMENTS / kind).glob("*.yaml"))
    raise ConfigError(f"no {kind} configuration `{name}`; there are {', '.join(known)}, or name a file")


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
    known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
    raise ConfigError(f"no {kind} `{name}`; there are {known}, or name a file")


def use_root(arguments: Sequence[str]) -> None:
    """Let ``--root FOLDER`` be the DATA_ROOT that configurations name."""
    folders, _ = take_flag(arguments, "--root")
    if folders:
        os.environ["DATA_ROOT"] = folders[-1]


def data_parser(prog: str, usage: str) -> ArgumentParser:
    """Parser of ``--config``, ``--root`` and ``--data.*``; options are the command's to add."""
    parser = ArgumentParser(prog=prog, usage=usage, exit_on_error=False, allow_abbrev=False)
    parser.add_argument(
        "--config", "-c", action=ActionConfigFile, help="a data set, such as data/nyuv2, or changes to it"
    )
    parser.add_argument("--root", help="folder that holds the data sets' folders, in place of DATA_ROOT")
    parser.add_subclass_arguments(DepthDataModule, "data", required=True)
    return parser


def parse(parser: ArgumentParser, arguments: Sequence[str], composition: Composition) -> Namespace:
    """What a command line says.

    Raises:
        ConfigError: if it does not parse, in one line.
    """
    try:
        return parser.parse_args(list(arguments))
    except ArgumentError as error:
        message = str(error)
        if "Parser key" not in message:  # about the command's own options
            raise ConfigError(f"{message}; `{parser.prog} --help` lists the options") from error
        raise ConfigError(explain(message, composition)) from error
