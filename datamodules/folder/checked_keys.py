"""Values of a YAML file, taken out one by one: each fault is one line with file, key and fix."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from datamodules.files import printable, read_bytes


def read_mapping(file: Path, origin: str) -> dict[str, Any]:
    """Return the content of a YAML file that holds a mapping.

    Args:
        file: to read.
        origin: what to do where it is missing.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is not YAML in UTF-8, or holds no mapping.
    """
    content = read_bytes(file, origin)
    try:
        values = yaml.safe_load(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{printable(file)}: is not UTF-8 text; save the file as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ValueError(
            f"{printable(file)}{place}: {problem}; write `key: value` lines, indented by blanks"
        ) from error
    if not isinstance(values, dict):
        raise ValueError(f"{printable(file)}: holds no keys; {origin}")
    return values


class CheckedKeys:
    """A mapping whose keys are known, and whose values are checked as they are taken.

    Args:
        file: that it is from, for messages.
        values: the mapping.
        known: the keys that it may have.
        name: dotted key of the mapping in its file; empty for the file as a whole.

    Raises:
        ValueError: if it is no mapping, or a key is unknown, with the nearest.
    """

    def __init__(self, file: Path, values: Any, known: Sequence[str], name: str = ""):
        self.file, self.name = file, name
        if not isinstance(values, Mapping):
            raise self.fault("", f"is {values!r}, not a mapping with keys such as `{known[0]}`")
        self.values = {str(key): value for key, value in values.items()}
        for key in self.values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                meant = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known)}"
                raise ValueError(f"{printable(file)}: unknown key `{self._dotted(key)}`; {meant}")

    def _dotted(self, key: str) -> str:
        return ".".join(filter(None, (self.name, key)))

    def place(self, key: str) -> str:
        """Return file and dotted key, for messages."""
        dotted = self._dotted(key)
        return f"{printable(self.file)}: key `{dotted}`" if dotted else printable(self.file)

    def fault(self, key: str, what: str) -> ValueError:
        """Return the error to raise about a key."""
        return ValueError(f"{self.place(key)} {what}")

    def __contains__(self, key: str) -> bool:
        return self.values.get(key) is not None

    def get(self, key: str) -> Any:
        """Return a value as it stands; None where it is not given."""
        return self.values.get(key)

    def text(self, key: str, default: str = "") -> str:
        """Return a text.

        Raises:
            ValueError: if it is something else.
        """
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise self.fault(key, f"is {value!r}, not a text")
        return str(value)

    def number(self, key: str, default: float | None = None) -> float | None:
        """Return a positive number.

        Raises:
            ValueError: if it is something else.
        """
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise self.fault(key, f"is {value!r}, not a positive number")
        return float(value)

    def switch(self, key: str) -> bool:
        """Return true or false, false by default.

        Raises:
            ValueError: if it is something else.
        """
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.fault(key, f"is {value!r}, not true or false")
        return bool(value)

    def choice(self, key: str, known: Sequence[str], default: str) -> str:
        """Return one of some words.

        Raises:
            ValueError: if it is another, with the nearest.
        """
        value = self.text(key, default)
        if value not in known:
            near = difflib.get_close_matches(value, known, n=1)
            meant = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known)}"
            raise self.fault(key, f"is {value!r}; {meant}")
        return value
