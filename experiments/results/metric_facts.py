"""Unit and direction of a metric, as its class declares them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning_modules.metrics import MetricInfo


def facts_on(name: str) -> "MetricInfo":
    """Return unit and direction of a metric; of what no class knows, neither.

    Args:
        name: name of the metric, with or without stage and data set, such as ``test/nyuv2/delta1``.
    """
    from lightning_modules.metrics import describe  # imports torch, which a command's help starts without

    return describe(name)


def sign_of(name: str) -> int:
    """Return 1 if a metric is better the higher it is, -1 if the lower, 0 for counts and what is neither."""
    higher = facts_on(name).higher_is_better
    return 0 if higher is None else 1 if higher else -1
