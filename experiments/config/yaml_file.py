"""Reads YAML files: any file of the suite's, and a configuration with the line in which each of its keys stands."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from experiments.config.error import ConfigError
from experiments.config.old_keys import with_new_keys
from experiments.config.old_names import drop_removed, rename

#: The parser in C where PyYAML was built with it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: What PyYAML raises for a damaged file, beside its own errors: it takes cut numbers, dates and tags at their word.
YAML_ERRORS = (
    yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip

#: Keys that hold names of files; a single name may stand without brackets.
NAME_LISTS = ("base", "tests")
#: Keys that hold a name, or a text.
NAMES = ("profile", "no_model")
#: Keys that hold mappings.
SECTIONS = ("model", "data", "trainer", "run", "profiles", "instead")


@dataclass(frozen=True)
class ConfigFile:
    """A file as it was read.

    Attributes:
        path: of the file.
        content: its mapping; ``base`` and ``tests`` are lists.
        lines: line of each dotted key, counted from 1.
        removed: what it configures that is gone from the suite, each with the reason.
    """

    path: Path
    content: dict[str, Any]
    lines: dict[str, int]
    removed: tuple[str, ...] = ()


def read_config(path: Path) -> ConfigFile:
    """Read a configuration file.

    Raises:
        ConfigError: if it is not YAML in UTF-8, not a mapping, has a key twice, or a list where a mapping belongs.
    """
    node, content = _parse(path)
    content = content or {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a configuration is a mapping, this file holds a {type(content).__name__}")
    lines = {}
    if isinstance(node, yaml.MappingNode):
        lines = dict(_lines(node, path))
        _refuse_other_types(node, path)
    content, removed = drop_removed(rename(content))
    return ConfigFile(path, _checked(content, path, lines), lines, tuple(removed))


def read_yaml_file(path: Path) -> Any:
    """Return the content of a YAML file of any kind; None if it is empty.

    Raises:
        ConfigError: if the file cannot be read, or is not YAML in UTF-8, naming the file and, where known, the line.
    """
    return _parse(path)[1]


def _parse(path: Path) -> tuple[yaml.Node | None, Any]:
    """Return the node of a file, which knows its lines, and the content; None and None if the file is empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}: line {line} is not UTF-8 text; save the file in that encoding") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        loader = LOADER(text)
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    except YAML_ERRORS as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or next(iter(str(error).splitlines()), type(error).__name__)
        raise ConfigError(f"{path}:{where} is not valid YAML: {reason}") from error


def _refuse_other_types(node: yaml.Node, path: Path) -> None:
    """Refuse what YAML takes for a date, binary data, or a number in base 60: written without quotes, it was text."""
    children = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    if isinstance(node, yaml.ScalarNode):
        kind = node.tag.rpartition(":")[2]
        if kind in ("timestamp", "binary") or (kind in ("int", "float") and ":" in node.value):
            read = {"timestamp": "a date", "binary": "binary data"}.get(kind, "a number in base 60")
            raise ConfigError(
                f"{path}:{node.start_mark.line + 1}: YAML takes `{node.value}` for {read}; put it in quotes"
            )
    else:
        for child in children:
            _refuse_other_types(child, path)


def _checked(content: dict[str, Any], path: Path, lines: dict[str, int]) -> dict[str, Any]:
    """The content, single names as lists."""
    for key in NAME_LISTS:
        names = content.get(key)
        if isinstance(names, str):
            content[key] = names = [names]
        if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise ConfigError(f"{path}:{lines.get(key, 1)}: key `{key}`: expected a list of names, got {names!r}")
    for key in NAMES:
        if key in content and not isinstance(content[key], str):
            raise ConfigError(f"{path}:{lines.get(key, 1)}: key `{key}`: expected a name, got {content[key]!r}")
    for key in SECTIONS:
        section = content.get(key)
        if section is not None and not isinstance(section, dict):
            raise ConfigError(f"{path}:{lines.get(key, 1)}: key `{key}`: expected a mapping, got {section!r}")
    if profiles := content.get("profiles"):
        content["profiles"] = {name: with_new_keys(section) for name, section in profiles.items()}
    return cast(dict[str, Any], with_new_keys(content))


def _lines(
    node: yaml.MappingNode, path: Path, prefix: str = "", within: tuple[yaml.Node, ...] = ()
) -> Iterator[tuple[str, int]]:
    """Dotted keys and their lines; YAML itself would take the last of two keys of one name without a word."""
    met: dict[str, int] = {}
    for key, value in node.value:
        line, name = key.start_mark.line + 1, str(key.value)
        if name in met:
            raise ConfigError(
                f"{path}:{line}: key `{prefix}{name}` stands in line {met[name]} already, and only one of the two "
                "would count; make them one"
            )
        met[name] = line
        yield f"{prefix}{name}", line
        if value in (above := (*within, node)):
            raise ConfigError(f"{path}:{line}: key `{prefix}{name}`: an anchor that holds itself")
        if isinstance(value, yaml.MappingNode):
            yield from _lines(value, path, f"{prefix}{name}.", above)
