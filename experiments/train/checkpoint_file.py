"""Whether a checkpoint is one, and this experiment's, before anything starts."""

from pathlib import Path
from typing import Any

import torch

from callbacks.checkpoints.checkpoint_io import DamagedCheckpointError, damage, load_checked, previous
from datamodules import DepthDataModule
from experiments.config.compose import ConfigError
from lightning_modules import DepthModule

#: What parts of a checkpoint have to be, where they are there.
CONTENT = (
    ("state_dict", dict, "weights by name"), ("origin", dict, "method and data"),
    ("pytorch-lightning_version", str, "a version"), ("hyper_parameters", dict, "options by name"),
    ("loops", dict, "the place in the training"), ("callbacks", dict, "states by name"),
    ("optimizer_states", list, "a list of states"), ("lr_schedulers", list, "a list of states"),
    ("epoch", int, "a number"), ("global_step", int, "a number"),
)  # fmt: skip

#: What a resumed training needs.
OF_TRAINING = ("loops", "optimizer_states", "lr_schedulers", "epoch", "global_step")

NOT_OURS = "no checkpoint of this suite; name another (`--ckpt_path`)"


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content, tensors mapped from the file instead of read.

    Raises:
        ConfigError: if it is missing, damaged, no checkpoint of Lightning, or holds more than plain values.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such checkpoint; `--ckpt_path last` or `best` finds the experiment's newest")
    try:
        content = load_checked(path)
    except DamagedCheckpointError as error:
        before = previous(path)
        other = f"{before} is whole" if before.is_file() and not damage(before) else "name another"
        raise ConfigError(f"{error}; {other} (`--ckpt_path`)") from error
    if not isinstance(content, dict) or not {"state_dict", "pytorch-lightning_version"} <= content.keys():
        raise ConfigError(f"{path}: not a checkpoint of this suite (no `state_dict`); name another (`--ckpt_path`)")
    for key, kind, meant in CONTENT:
        if key in content and not isinstance(content[key], kind):
            raise ConfigError(f"{path}: `{key}` is {type(content[key]).__name__}, not {meant}; {NOT_OURS}")
    for name, value in content["state_dict"].items():
        if not (isinstance(name, str) and isinstance(value, torch.Tensor)):
            raise ConfigError(f"{path}: `{name}` of `state_dict` is {type(value).__name__}, not a tensor; {NOT_OURS}")
    if (origin := content.get("origin")) and not all(isinstance(origin.get(key), str) for key in ("method", "data")):
        raise ConfigError(f"{path}: `origin` does not name method and data; {NOT_OURS}")
    return content


def check_origin(path: Path, content: dict[str, Any], method: str) -> dict[str, Any]:
    """Return what a checkpoint says of where it comes from; empty for one that says nothing.

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
        training: whether training is resumed; testing on other data is nobody's mistake.

    Raises:
        ConfigError: if it is another method's, of other shapes, or training would be resumed with other data.
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
    if training and "fit_loop" not in content.get("loops", {}):
        content.pop("loops", None)
    if training and (missing := [key for key in OF_TRAINING if key not in content]):
        raise ConfigError(
            f"{path}: has weights, but no `{missing[0]}`: training cannot be resumed from it; name one of a training"
        )
    if training and origin and origin["data"] not in ("", datamodule.name):
        raise ConfigError(
            f"{path}: was trained on {origin['data']}, which `{datamodule.name}` cannot resume; "
            "take the same data set, or start anew"
        )
