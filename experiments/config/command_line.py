"""What commands share that read a data set with a parser of their own, outside LightningCLI."""

import os
from collections.abc import Sequence

from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, Namespace

from datamodules import DepthDataModule
from experiments.config.arguments import take_flag
from experiments.config.compose import Composition, ConfigError
from experiments.config.explain import explain


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
