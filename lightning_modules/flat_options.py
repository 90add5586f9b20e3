"""Let a method take the fields of a dataclass as arguments of its own."""

import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

O = TypeVar("O")  # noqa: E741


def split_between(options: type[O], parent: type) -> Callable[..., tuple[O, dict[str, Any]]]:
    """Return a function that splits keyword arguments between a dataclass and a parent class.

    A method calls it with its ``**kwargs``. jsonargparse follows them into that call and reads the signature and the
    docstring of the function that is called, here those of dataclass and parent together: each field is an argument of
    the command line and of a YAML's ``init_args`` under its own name, with the type, default and help text of the one
    place that declares it.

    Args:
        options: the dataclass.
        parent: class whose ``__init__`` takes all other arguments, each by name.

    Returns:
        A function of keyword arguments that returns an instance of the dataclass, and the arguments that are none of
        its fields.
    """
    own = {field.name for field in fields(options)}  # type: ignore[arg-type]  # mypy knows no bound for dataclasses

    def split(**arguments: Any) -> tuple[O, dict[str, Any]]:
        chosen = {name: value for name, value in arguments.items() if name in own}
        return options(**chosen), {name: value for name, value in arguments.items() if name not in own}

    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for made in (options, parent)
        for parameter in inspect.signature(made, eval_str=True).parameters.values()
    ]
    split.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    split.__doc__ = "Split keyword arguments.\n\nArgs:\n" + described(options) + described(parent)
    return split


def described(cls: type) -> str:
    """Return the entries of the section Args or Attributes of a class's docstring, indented."""
    found = re.search(r"^(?:Args|Attributes):\n((?: +.*\n|\n)+)", f"{inspect.getdoc(cls)}\n", re.MULTILINE)
    return f"{found[1].rstrip()}\n" if found else ""
