"""Whether a checkpoint is one, and this experiment's, before anything starts."""

import pickle
from pathlib import Path
from typing import Any

import torch

from callbacks.checkpoint_io import damage
from datamodules import DepthDataModule
from experiments.compose import ConfigError
from lightning_modules import DepthModule


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, tensors mapped from the file instead of read.

    Raises:
        ConfigError: if it is missing, damaged, no checkpoint of Lightning, or holds more than plain values.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such checkpoint; `--ckpt_path last` or `best` finds the experiment's newest")
    if reason := damage(path):
        raise ConfigError(f"{path}: not a checkpoint, or a damaged one ({reason}); name another (`--ckpt_path`)")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"{path}: holds Python objects, which could run any code when loaded; name a checkpoint of this suite"
        ) from error
    except RuntimeError as error:
        raise ConfigError(f"{path}: a zip file, but not a checkpoint; name another (`--ckpt_path`)") from error
    if not isinstance(content, dict) or not {"state_dict", "pytorch-lightning_version"} <= content.keys():
        raise ConfigError(f"{path}: not a checkpoint of this suite (no `state_dict`); name another (`--ckpt_path`)")
    return content


def check_origin(path: Path, content: dict[str, Any], method: str) -> dict[str, Any]:
    """What a checkpoint says of where it comes from; empty for one that says nothing.

    Args:
        path: the checkpoint.
        content: of the file.
        method: name of the class that is to take its weights.

    Raises:
        ConfigError: if it is another method's.
    """
    origin = content.get("origin")
    origin = origin if isinstance(origin, dict) else {}
    if origin.get("method", method) != method:
        raise ConfigError(f"{path}: is a checkpoint of {origin['method']}, but the configuration is of {method}")
    return origin


def check_checkpoint(path: Path, model: DepthModule, datamodule: DepthDataModule, *, training: bool) -> None:
    """Check that a checkpoint fits.

    Args:
        path: the checkpoint.
        model: that is to take its weights.
        datamodule: what it is to be trained or tested on.
        training: whether training is to go on; testing on other data is nobody's mistake.

    Raises:
        ConfigError: if it is another method's, of other shapes, or training would go on with other data.
    """
    content = read_checkpoint(path)
    origin = check_origin(path, content, type(model).__name__)
    stored, mine = content["state_dict"], model.state_dict()
    for key in sorted(stored.keys() | mine.keys()):
        there = tuple(stored[key].shape) if key in stored else "not there"
        here = tuple(mine[key].shape) if key in mine else "not there"
        if there != here:
            raise ConfigError(
                f"{path}: `{key}` is {there} in the checkpoint and {here} in this configuration; take the one it was "
                "trained with (config.yaml in its run folder)"
            )
    if training and origin and origin["data"] not in ("", datamodule.name):
        raise ConfigError(
            f"{path}: was trained on {origin['data']}, which `{datamodule.name}` cannot go on with; "
            "take the same data set, or start anew"
        )
