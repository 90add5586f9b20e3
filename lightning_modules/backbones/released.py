"""Load weights that the authors of a method have released into a network whose parts have other names."""

import re
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

#: Pairs of a pattern that matches a released name whole, and what this suite calls it; None for what it has no use for.
Names = Sequence[tuple[str, str | None]]


def read_weights(path: str) -> dict[str, Tensor]:
    """Read the tensors of a file that ``torch.save`` wrote, to the CPU; of a whole training state, those of the model.

    Args:
        path: of the file. Nothing but tensors and plain values is unpickled.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is no such file, or holds no weights.
    """
    key = "`model.init_args.checkpoint`"
    try:
        with torch.serialization.safe_globals([Namespace]):  # training scripts keep their arguments beside the weights
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such file; {key} names the released weights, or null for none") from error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged file makes the reader stumble in any way
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"{path}: no file of weights ({reason}); name another as {key}") from error
    for part in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(part), Mapping):
            content = content[part]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{path}: holds no weights by name; name another file as {key}")
    return {name.removeprefix("module."): value for name, value in content.items()}


def rename(released: Mapping[str, Tensor], names: Names, source: str) -> dict[str, Tensor]:
    """Return released weights under this suite's names.

    Args:
        released: by their released names.
        names: patterns, of which the first that matches counts.
        source: path of the file, for messages.

    Raises:
        ValueError: for a name that no pattern matches.
    """
    renamed = {}
    for name, value in released.items():
        for pattern, own in names:
            if match := re.fullmatch(pattern, name):
                if own is not None:
                    renamed[match.expand(own)] = value
                break
        else:
            raise ValueError(f"{source}: `{name}` belongs to no part of this network; name weights of this method")
    return renamed


def load_released(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    source: str,
    *,
    wanted: Callable[[str], bool] = lambda name: True,
) -> None:
    """Load weights whose every name and shape fits.

    Args:
        network: into which they are loaded.
        weights: by the network's own names.
        source: path of the file, for messages.
        wanted: tells of a name whether its weight is to be loaded; all else in the network stays as it is.

    Raises:
        ValueError: if a name is missing or unknown, or a shape differs, naming the first.
    """
    own = {name: value for name, value in network.state_dict().items() if wanted(name)}
    weights = {name: value for name, value in weights.items() if wanted(name)}
    for name in sorted(own.keys() | weights.keys()):
        here = tuple(own[name].shape) if name in own else "not there"
        there = tuple(weights[name].shape) if name in weights else "not there"
        if here != there:
            raise ValueError(
                f"{source}: `{name}` is {there} in the file and {here} in this network; "
                "name weights of this size of the method, or change `model.init_args`"
            )
    network.load_state_dict(weights, strict=False)
