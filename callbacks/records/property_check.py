"""A check for properties that raise AttributeError inside: Python reports, or ignores, them as missing attributes."""

import inspect
import os
import traceback
from collections.abc import Iterator
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

#: Libraries whose classes' properties are not checked.
LIBRARIES = ("torch", "lightning", "lightning_fabric", "pytorch_lightning", "abc", "typing", "builtins")


class PropertyCheck(Callback):
    """Read every property of method and data before the first batch.

    An AttributeError inside a property looks as if the object lacked the property: a method then "has no attribute
    ``normalization``", or a default takes its place without a word, and a training ends in a test that cannot begin.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check method and data.

        Raises:
            ValueError: naming property, file and line.
        """
        check_properties(pl_module, *_test_sets(trainer))

    on_validation_start = on_test_start = on_predict_start = on_fit_start


def check_properties(*objects: Any) -> None:
    """Read the properties of objects, their classes' own and those of the suite.

    Raises:
        ValueError: if one raises AttributeError, naming it, file and line.
    """
    for obj in objects:
        for name in _properties(type(obj)):
            if fault := property_fault(obj, name):
                raise ValueError(fault)


def property_fault(obj: Any, name: str) -> str | None:
    """Return, in one line, the error inside a property that raises AttributeError; None for any other attribute."""
    found = inspect.getattr_static(type(obj), name, None)
    if not isinstance(found, property) or found.fget is None:
        return None
    try:
        found.fget(obj)
    except AttributeError as error:
        if inner := _inner_fault(error, obj, name):
            return inner
        frames = traceback.extract_tb(error.__traceback__)
        frame = [own for own in frames if "site-packages" not in own.filename][-1]
        place = min(frame.filename, os.path.relpath(frame.filename), key=len)
        return f"{place}:{frame.lineno}: property `{type(obj).__name__}.{name}` fails inside: {error}"
    except Exception:  # says itself what is wrong, where the property is used
        return None
    return None


def _inner_fault(error: AttributeError, obj: Any, name: str) -> str | None:
    """Return the error inside another property that this one reads."""
    inner, inner_name = getattr(error, "obj", None), getattr(error, "name", None)
    if inner is None or inner_name is None or (inner is obj and inner_name == name):
        return None
    return property_fault(inner, inner_name)


def _properties(cls: type) -> Iterator[str]:
    classes = [base for base in cls.__mro__ if base.__module__.partition(".")[0] not in LIBRARIES]
    names = dict.fromkeys(name for base in classes for name in vars(base) if not name.startswith("_"))
    return (name for name in names if isinstance(inspect.getattr_static(cls, name), property))


def _test_sets(trainer: Trainer) -> list[Any]:
    datamodule = getattr(trainer, "datamodule", None)
    return [] if datamodule is None else [datamodule, *getattr(datamodule, "test_sets", list)()[1:]]
