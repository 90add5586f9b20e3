"""The arguments of a metric class as a dataclass, which configurations fill in."""

from collections.abc import Mapping, Sequence
from dataclasses import field, make_dataclass
from inspect import Parameter, signature
from typing import Any, get_args, get_origin, get_type_hints

#: What a metric gets from the test set and not from options.
FROM_DATA = ("self", "protocol", "classes")


def arguments_of(metric: type, defaults: Mapping[str, Any]) -> type:
    """Make a frozen dataclass of what a metric class takes beside protocol and classes, with its types and docstring.

    An argument without a default becomes optional. The class is to stand in the metric as ``options``.

    Args:
        metric: the class.
        defaults: of some arguments, in place of its own.
    """
    hints = get_type_hints(metric.__init__)  # type: ignore[misc]
    fields = []
    for name, parameter in signature(metric.__init__).parameters.items():  # type: ignore[misc]
        if name in FROM_DATA or parameter.kind is Parameter.VAR_KEYWORD:
            continue
        kind, default = hints[name], defaults.get(name, parameter.default)
        if get_origin(kind) is Sequence:  # as a tuple it can neither be changed nor shared
            kind = tuple[(*get_args(kind), ...)]  # type: ignore[misc]
        if default is Parameter.empty:
            kind, default = kind | None, None
        fields.append((name, kind, field(default=default)))
    made = make_dataclass("options", fields, frozen=True)
    made.__module__, made.__qualname__ = metric.__module__, f"{metric.__qualname__}.options"
    made.__doc__ = metric.__doc__
    return made
