"""A file of weights alone as `--ckpt_path`: another program's `state_dict`, or what authors have released."""

import zipfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from callbacks.checkpoints.checkpoint_io import damage, one_line
from experiments.config.compose import ConfigError
from lightning_modules import DepthModule
from lightning_modules.backbones.weight_files import WRAPPERS, weights_in

Weights = dict[str, Tensor]


def plain_weights(path: Path) -> Weights | None:
    """Return weights by name of a file that is no checkpoint of Lightning; None of any other file.

    Nothing but tensors and plain values is unpickled.

    Raises:
        ConfigError: if it is a damaged file of weights.
    """
    if not path.is_file():
        return None
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ConfigError(f"{path}: no file of weights, or a damaged one ({one_line(error)})") from error
    archive = zipfile.is_zipfile(path)  # older files are none, and cannot be mapped
    try:
        with torch.serialization.safe_globals([Namespace]):  # training scripts keep their arguments beside the weights
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except Exception:  # damaged, or no such file: read_checkpoint says how
        return None
    if isinstance(content, Mapping) and "pytorch-lightning_version" in content:
        return None
    weights = weights_in(content)
    if weights and archive and (reason := damage(path)):
        raise ConfigError(f"{path}: damaged ({reason}); fetch or make it again")
    return weights or None


def fit_weights(weights: Mapping[str, Tensor], model: DepthModule, path: Path) -> Weights:
    """Return the method's weights from a file that names them with a wrapper's prefix, or as the network does.

    Args:
        weights: of the file.
        model: the method.
        path: of the file, for messages.

    Returns:
        One tensor for each of the method's names.

    Raises:
        ConfigError: if a name is missing or a shape differs, naming the first, and the option that takes other files.
    """
    own = model.state_dict()
    best: Weights = {}
    for named in _readings(weights):
        found = {name: named[name] for name in own if name in named}
        best = found if len(found) > len(best) else best
    for name, tensor in own.items():
        if name in best and best[name].shape != tensor.shape:
            raise ConfigError(
                f"{path}: `{name}` is {tuple(best[name].shape)} in the file and {tuple(tensor.shape)} in this "
                f"configuration; {_advice(model, path)}"
            )
    if missing := [name for name in own if name not in best]:
        share = f"{len(best)} of {len(own)} weights" if best else "none of the weights"
        raise ConfigError(
            f"{path}: has {share} of {type(model).__name__} by name (not `{missing[0]}`; its first is "
            f"`{next(iter(weights))}`); {_advice(model, path)}"
        )
    return best


def _readings(weights: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    """The names as they are, and without what wrappers have put before them, each also below ``network.``."""
    named = dict(weights)
    while True:
        yield named
        yield {f"network.{name}": value for name, value in named.items()}
        wrapper = next((prefix for prefix in WRAPPERS if all(name.startswith(prefix) for name in named)), None)
        if wrapper is None:
            return
        named = {name.removeprefix(wrapper): value for name, value in named.items()}


def _advice(model: Any, path: Path) -> str:
    """Which option takes such a file."""
    if hasattr(model, "load_checkpoint"):
        return f"weights that the authors released are loaded with `--model.init_args.checkpoint {path}`"
    return "`--ckpt_path` takes a checkpoint of this suite, or weights of this very method and size"
