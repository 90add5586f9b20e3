"""Refuse unknown names of options, with the known ones."""

from typing import Any, Literal, get_args, get_origin, get_type_hints


def check_option(name: str, value: str, options: Any) -> None:
    """Refuse a value that is not one of a ``Literal``'s names.

    Args:
        name: of the option, for the message.
        value: of the option.
        options: the ``Literal``.

    Raises:
        ValueError: if ``value`` is unknown, with the list of known names.
    """
    if value not in get_args(options):
        raise ValueError(f"`{name}` is {value!r}; choose one of {', '.join(get_args(options))}")


def check_names(options: Any) -> None:
    """Refuse a dataclass with an unknown name in a field that is typed as a ``Literal``.

    Raises:
        ValueError: for the first such field, with the list of known names.
    """
    for name, hint in get_type_hints(type(options)).items():
        if get_origin(hint) is Literal:
            check_option(name, getattr(options, name), hint)
