"""The interpolation `${dataset_yaml:FOLDER,FACT}`: what a folder of frames says of itself, where a run needs it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from experiments.config.error import ConfigError

if TYPE_CHECKING:
    from datamodules.folder.description import Description

#: What may be asked for.
FACTS: "dict[str, Callable[[Description], Any]]" = {
    "min_depth": lambda said: said.depth.range[0],
    "max_depth": lambda said: said.depth.range[1],
    "alignment": lambda said: said.alignment,
}


def fact_of(folder: Any, fact: str) -> Any:
    """Return what the `dataset.yaml` of a folder says.

    Args:
        folder: that holds it; None where none is named.
        fact: one of :data:`FACTS`.

    Raises:
        ConfigError: if no folder is named, or its `dataset.yaml` cannot be used, in one line.
    """
    if folder is None:
        raise ConfigError(
            "`--data folder` needs the folder: `--data.root FOLDER`, which holds rgb/, depth/ and a dataset.yaml "
            "(docs/own_data.md)"
        )
    from datamodules.folder.description import read_description  # imports torch

    try:
        return FACTS[fact](read_description(Path(str(folder)).expanduser()))
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from error


def register() -> None:
    """Make the interpolation known to OmegaConf."""
    OmegaConf.register_resolver("dataset_yaml", fact_of, replace=True)
