"""The named readings of the paper's unclear places, and the one line that refuses an unknown name."""

from typing import Any, Literal, get_args

CellRule = Literal["nearest", "area"]
PadRule = Literal["masked", "cast"]
PoolMlp = Literal["cast", "paper"]
UnpoolMlp = Literal["plain", "residual"]
ClassTokenRule = Literal["propagate", "fresh_per_level"]
SkipRule = Literal["post_block", "pre_block"]
UnpoolRule = Literal["soft", "hard"]
AssignmentRule = Literal["shared", "own"]
ReductionRule = Literal["none", "dpt"]


def check_option(name: str, value: str, options: Any) -> None:
    """Refuse a value that is not one of a ``Literal``'s names.

    Raises:
        ValueError: if ``value`` is unknown, with the list of known names.
    """
    if value not in get_args(options):
        raise ValueError(f"`{name}` is {value!r}; choose one of {', '.join(get_args(options))}")
