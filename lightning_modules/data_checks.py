"""Checks of a method against its data, before weights are loaded or an epoch is spent."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from lightning_modules.depth_data import DepthData
from lightning_modules.evaluated_sets import protocols_by_name
from lightning_modules.metrics import EvalProtocol
from lightning_modules.training.parameter_groups import check_lr_scale
from lightning_modules.truth_checks import check_alignments, check_loss

#: Mean and standard deviation of RGB in [0, 1], three numbers each.
Normalization = tuple[tuple[float, ...], tuple[float, ...]]


class Checked(Protocol):
    """What is read of a :class:`~lightning_modules.depth_module.DepthModule`, which describes each attribute."""

    network: Any

    @property
    def requires(self) -> frozenset[str]: ...  # noqa: D102

    @property
    def learns_from(self) -> frozenset[str]: ...  # noqa: D102

    @property
    def predicts_depth(self) -> bool: ...  # noqa: D102

    @property
    def normalization(self) -> Normalization: ...  # noqa: D102

    @property
    def depth_loss(self) -> Any: ...  # noqa: D102

    @property
    def learns_by_depth_loss(self) -> bool: ...  # noqa: D102

    @property
    def protocol(self) -> EvalProtocol: ...  # noqa: D102

    @property
    def test_protocols(self) -> Sequence[EvalProtocol] | None: ...  # noqa: D102

    @property
    def lr_scale(self) -> Mapping[str, float]: ...  # noqa: D102

    def named_parameters(self) -> Iterable[tuple[str, Any]]: ...  # noqa: D102


def check_fit(method: Checked, data: DepthData, *, training: bool) -> None:
    """Check that a data set, and every further test set, fits a method and its protocols.

    Args:
        method: the method whose keys, normalisation, protocols and learning rates are checked.
        data: the run's own data set.
        training: whether the method is to be trained on it.

    Raises:
        ValueError: if a set lacks keys that the method reads, naming them; if the method declares no normalisation; if
            a protocol's crop is not defined on frames of a set's size; if truth is relative, and a loss or protocol is
            for metres; if ``lr_scale`` names parameters that do not exist.
    """
    if training:
        check_lr_scale([name for name, _ in method.named_parameters()], method.lr_scale)
    sets, name = data.test_sets(), type(method).__name__
    for number, tested in enumerate(sets):
        learned = method.learns_from if training and number == 0 else frozenset()
        check_provided(name, method.requires | learned, tested)
    check_normalization(name, method.normalization)
    protocols = protocols_by_name(sets, method.protocol, method.test_protocols)
    if method.predicts_depth:
        check_crops(sets, protocols)
        check_alignments(sets, protocols)
        if training:
            check_loss(name, method.depth_loss, method.learns_by_depth_loss, data, method.protocol)


def check_provided(method: str, required: frozenset[str], data: DepthData) -> None:
    """Check that a data set provides the keys that a method reads.

    Args:
        method: its name, for the message.
        required: keys of a batch.
        data: the data set.

    Raises:
        ValueError: if a key is missing, with the data set's own advice.
    """
    if missing := required - data.provides:
        key = min(missing)
        raise ValueError(
            f"{method} requires {', '.join(sorted(missing))}, which `{data.name}` does not provide; "
            f"for {key}: {data.hint(key)}"
        )


def check_crops(sets: Sequence[DepthData], protocols: Mapping[str, EvalProtocol]) -> None:
    """Check that the crop of each test set's protocol is defined on frames of its size.

    Args:
        sets: the test sets.
        protocols: the protocol of each set, by the set's name.

    Raises:
        ValueError: if a crop is not, naming the set.
    """
    for data in sets:
        try:
            protocols[data.name].check_size(*data.frame_size)
        except ValueError as error:
            raise ValueError(f"`{data.name}`: {error}") from error


def declared_normalization(method: Checked) -> Normalization:
    """Return the mean and standard deviation of RGB in [0, 1] that the backbone of a method's network declares.

    Raises:
        ValueError: if the network has no backbone: the method then declares them itself.
    """
    backbone = getattr(method.network, "backbone", None)
    if backbone is None:
        raise ValueError(
            f"{type(method).__name__} declares no `normalization`, and its network has no `backbone` that would: give "
            "the method `normalization`, mean and standard deviation of RGB in [0, 1], three numbers each"
        )
    return backbone.mean, backbone.std


def check_normalization(method: str, declared: Any) -> None:
    """Check that a method declares how its images are normalised.

    Args:
        method: its name, for the message.
        declared: mean and standard deviation of RGB in [0, 1].

    Raises:
        ValueError: if they are not three finite numbers each, or a standard deviation is not positive.
    """
    try:
        mean, std = ([float(value) for value in values] for values in declared)
    except (TypeError, ValueError):
        mean, std = [], []
    finite = all(math.isfinite(value) for value in (*mean, *std))
    if len(mean) != 3 or len(std) != 3 or not finite or min(std) <= 0:
        raise ValueError(
            f"{method}: `normalization` must be mean and standard deviation of RGB in [0, 1], three numbers each and "
            f"the latter positive, such as ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)); it is {declared!r}"
        )
