"""Paths that begin with ``~``: a shell leaves ``--flag=~/folder`` as it is, and YAML anything."""

import os
from collections.abc import Mapping
from typing import Any


def expand_argument(argument: str) -> str:
    """Return an argument with ``~/`` or ``~user/`` at the beginning of its value replaced by that folder."""
    flag, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return f"{flag}{equals}{_expand(value)}"


def expand_values(values: Any) -> Any:
    """Return a configuration, the same done in every text in it."""
    if isinstance(values, Mapping):
        return {key: expand_values(value) for key, value in values.items()}
    if isinstance(values, list):
        return [expand_values(value) for value in values]
    return _expand(values) if isinstance(values, str) else values


def _expand(text: str) -> str:
    return os.path.expanduser(text) if text.startswith("~") and "/" in text else text
