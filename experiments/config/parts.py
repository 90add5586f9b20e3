"""Parts of a run that a configuration names, outside LightningCLI: data, method, protocol."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, Namespace

import datamodules
from datamodules import DepthDataModule
from experiments.config.compose import Composition, ConfigError
from experiments.config.explain import explain
from experiments.config.offered_classes import import_offered


def parts_parser() -> ArgumentParser:
    """Return a parser of the section ``data``; others are the command's to add."""
    import_offered(datamodules)
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action=ActionConfigFile)
    parser.add_subclass_arguments(DepthDataModule, "data", required=True)
    return parser


def parse_parts(
    parser: ArgumentParser, config: Mapping[str, Any], flags: Sequence[str], composition: Composition
) -> Namespace:
    """Return the parts as they are configured, to be instantiated.

    Args:
        parser: of the parts.
        config: sections of the merged configuration.
        flags: that change them.
        composition: what was merged, for messages.

    Raises:
        ConfigError: if they do not parse, in one line.
    """
    try:
        return parser.parse_args(["--config", yaml.safe_dump(dict(config)), *flags])
    except ArgumentError as error:
        raise ConfigError(explain(str(error), composition)) from error
