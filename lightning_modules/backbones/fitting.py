"""Fit weights of a file to a network by name and shape, and say clearly what does not fit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from lightning_modules.backbones.weight_files import WRAPPERS

Weights = Mapping[str, Tensor]

#: Beginnings that are put before a backbone's names by what it is a part of; other parts of a file are left alone.
PLACES = ("backbone.", "encoder.", "network.", "stem.", "trunk.")

#: What classifiers are called besides what timm says.
CLASSIFIERS = ("classifier", "head", "head_dist", "fc", "last_linear")

#: A counter that files of old versions of PyTorch lack, and that nothing reads.
COUNTER = "num_batches_tracked"

#: Names that a message lists of each kind, at most.
LISTED = 4


@dataclass(frozen=True)
class Wanted:
    """What a network is to be given.

    Attributes:
        name: of the network, for messages.
        tensors: all of its weights by name; only their shapes are read.
        classifier: first parts of the names of its classifier, which files may lack or have for other classes.
        unused: names that a cut network has no use for, and files may lack.
        convert: renames and resamples what is known to differ, as timm does for weights of a hub.
    """

    name: str
    tensors: Weights
    classifier: Sequence[str] = CLASSIFIERS
    unused: frozenset[str] = frozenset()
    convert: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict


def fit(weights: Weights, wanted: Wanted, source: str) -> dict[str, Tensor]:
    """Return the weights of a network from those of a file, whatever usual prefixes stand before their names.

    Where the network is a part of what the file holds, the other parts are left alone.

    Args:
        weights: of the file.
        wanted: by the network.
        source: path of the file, for messages.

    Returns:
        Weights by the network's names, without a classifier that is missing or has other classes.

    Raises:
        ValueError: if anything but the classifier is missing, unknown or of another shape, in one line that lists it.
    """
    found: dict[str, Tensor] = {}
    most = 0
    for reading in _readings(dict(weights)):
        converted = _convert(reading, wanted)
        if (count := len(converted.keys() & wanted.tensors.keys())) > most:
            found, most = converted, count
    if not most:
        raise ValueError(
            f"{source}: has none of the weights of `{wanted.name}` by name (its first is "
            f"`{next(iter(weights), 'none')}`, the network's `{next(iter(wanted.tensors))}`); name weights of "
            "this very network"
        )
    own = wanted.tensors
    fitting = {name: value for name, value in found.items() if name in own and value.shape == own[name].shape}
    if complaints := list(_complaints(found, fitting, wanted)):
        raise ValueError(
            f"{source}: does not fit `{wanted.name}`: {'; '.join(complaints)}. Name weights of this very network"
        )
    counters = {name: value.new_zeros(value.shape, device="cpu") for name, value in own.items() if COUNTER in name}
    return {**counters, **fitting}


def _convert(weights: dict[str, Tensor], wanted: Wanted) -> dict[str, Tensor]:
    try:
        return wanted.convert(dict(weights))
    except Exception:  # a conversion stumbles in any way over weights of another network, which the list then says
        return weights


def _readings(weights: dict[str, Tensor], depth: int = 5) -> Iterator[dict[str, Tensor]]:
    """The names as they are, then what is left of them behind each prefix, and behind a further one."""
    yield weights
    for prefix in (*WRAPPERS, *PLACES) if depth else ():
        inner = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        if inner:
            yield from _readings(inner, depth - 1)


def _complaints(found: Weights, fitting: Weights, wanted: Wanted) -> Iterator[str]:
    """What of a file does not fit, by kind."""
    own = wanted.tensors
    # the classifier's names, unless the body of the network has such names too
    spare = {name for name in (*own, *found) if _first(name) in {*wanted.classifier, *CLASSIFIERS}}
    spare -= {name for name in own if _first(name) not in wanted.classifier}
    missing = [n for n in own if n not in found and n not in spare | wanted.unused and COUNTER not in n]
    unknown = [name for name in found if name not in own and name not in spare]
    shapes = [
        f"{name} is {tuple(found[name].shape)} in the file and {tuple(own[name].shape)} in the network"
        for name in found
        if name in own and name not in fitting and name not in spare
    ]
    for kind, names in (("missing", missing), ("unexpected", unknown), ("of another shape", shapes)):
        if names:
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            yield f"{len(names)} {kind} ({', '.join(names[:LISTED])}{more})"


def _first(name: str) -> str:
    return name.partition(".")[0]


def fit_by_order(weights: Weights, wanted: Wanted, source: str) -> dict[str, Tensor]:
    """Return weights whose names differ, but whose order and shapes are those of the network.

    Args:
        weights: of the file.
        wanted: by the network.
        source: path of the file, for messages.

    Raises:
        ValueError: if there are more or fewer, or one has another shape.
    """
    if len(weights) != len(wanted.tensors):
        raise ValueError(f"{source}: holds {len(weights)} tensors, `{wanted.name}` has {len(wanted.tensors)}")
    fitted = dict(zip(wanted.tensors, weights.values(), strict=True))
    for (name, value), theirs in zip(fitted.items(), weights, strict=True):
        if value.shape != wanted.tensors[name].shape:
            raise ValueError(
                f"{source}: `{theirs}` is {tuple(value.shape)}, `{name}` of `{wanted.name}` "
                f"{tuple(wanted.tensors[name].shape)}"
            )
    return fitted
