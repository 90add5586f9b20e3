"""The one line that refuses an unknown name of an option."""

from typing import Any, get_args


def check_option(name: str, value: str, options: Any) -> None:
    """Refuse a value that is not one of a ``Literal``'s names.

    Raises:
        ValueError: if ``value`` is unknown, with the list of known names.
    """
    if value not in get_args(options):
        raise ValueError(f"`{name}` is {value!r}; choose one of {', '.join(get_args(options))}")
