"""Load weights that the authors of a method have released into a network whose parts have other names."""

import re
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

#: Pairs of a pattern that matches a released name whole, and what this suite calls it; None for what it has no use for.
Names = Sequence[tuple[str, str | None]]


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
