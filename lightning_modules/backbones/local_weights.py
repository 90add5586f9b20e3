"""Initial weights of timm's and smp's networks from files and packages of this machine."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import timm
import torch
from torch import Tensor, nn

from lightning_modules.backbones.fitting import CLASSIFIERS, Wanted, fit, fit_by_order
from lightning_modules.backbones.initial_weights import weight_path
from lightning_modules.backbones.timm_internals import checkpoint_filter
from lightning_modules.backbones.weight_files import read_weights
from lightning_modules.backbones.wheels import LITE, find_wheel

KEY = "`model.init_args.pretrained`"


def timm_weights(name: str, source: str, *, features_only: bool = False) -> dict[str, Tensor]:
    """Return weights of a network of timm under timm's names.

    Position embeddings of another size are resampled, and names of other programs translated, as timm does it for
    weights of a hub.

    Args:
        name: timm name, with an optional weight tag.
        source: path of a file, or ``lite``.
        features_only: the network is cut after its last map: what lies behind may be missing.

    Raises:
        FileNotFoundError: if the file is missing, or the package is not installed.
        ValueError: if it does not fit, in one line.
    """
    network: Any = _without_memory(name)
    wanted = _wanted(name, network, _unused(name, network) if features_only else frozenset())
    if source == LITE:
        wheel = find_wheel(name)
        weights = fit_by_order(read_weights(wheel.file, KEY), wanted, wheel.file)
    else:
        path = weight_path(source)
        weights = fit(read_weights(path, KEY), wanted, path)
    if features_only and network.pretrained_cfg["num_classes"]:  # else timm takes whole networks only
        weights = {key: value for key, value in weights.items() if key not in wanted.unused}
    return weights


def whole_weights(name: str, source: str) -> dict[str, Tensor]:
    """Return weights of a whole network of timm, its classifier for as many classes as timm's among them.

    Args:
        name: timm name, with an optional weight tag.
        source: path of a file.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it does not fit, in one line.
    """
    weights = timm_weights(name, source)
    if missing := [key for key in _without_memory(name).state_dict() if key not in weights]:
        raise ValueError(
            f"{source}: lacks the classifier of `{name}` ({', '.join(missing)}), or has it for other classes"
        )
    return weights


def overlay(weights: dict[str, Tensor]) -> dict[str, Any]:
    """Return the option of ``timm.create_model`` that has it load weights as it loads those of a hub."""
    return {"pretrained_cfg_overlay": {"state_dict": weights}}


def forget_overlay(network: nn.Module) -> None:
    """Take the weights of :func:`overlay` out of what a network knows of its origin, which is copied and pickled."""
    for module in network.modules():
        for known in (getattr(module, "pretrained_cfg", None), getattr(module, "default_cfg", None)):
            if isinstance(known, dict):
                known.pop("state_dict", None)


def load_encoder(name: str, encoder: Any, source: str) -> None:
    """Load a file into an encoder of segmentation-models-pytorch that is not timm's.

    Args:
        name: of the encoder, for messages.
        encoder: with three input channels.
        source: path of the file.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it does not fit, or is ``lite``, which are weights of timm's networks.
    """
    if source == LITE:
        find_wheel(f"smp:{name}")
    path, wanted = (
        weight_path(source),
        Wanted(f"smp:{name}", encoder.state_dict(), (*CLASSIFIERS, "_fc", "linear")),
    )
    encoder.load_state_dict(fit(read_weights(path, KEY), wanted, path))


def _without_memory(name: str, **options: Any) -> nn.Module:
    """A network of which only names and shapes are of interest."""
    try:
        with torch.device("meta"):
            return timm.create_model(name, pretrained=False, **options)
    except (NotImplementedError, RuntimeError):  # of a network that computes while it is built
        return timm.create_model(name, pretrained=False, **options)


def _wanted(name: str, network: Any, unused: frozenset[str]) -> Wanted:
    classifier = network.pretrained_cfg.get("classifier") or ()
    names: Sequence[str] = (classifier,) if isinstance(classifier, str) else classifier
    return Wanted(name, network.state_dict(), tuple(names), unused, partial(checkpoint_filter, name, model=network))


def _unused(name: str, network: nn.Module) -> frozenset[str]:
    """Names of a whole network's weights that one without its end lacks, which may write `.` as `_`."""
    used = {key.replace("_", ".") for key in _without_memory(name, features_only=True).state_dict()}
    return frozenset(key for key in network.state_dict() if key.replace("_", ".") not in used)
