"""Flags of the command line, as what a configuration's interpolations see of them."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

#: Keys of a mapping that configures a class.
CLASS_KEYS = ("class_path", "init_args", "dict_kwargs")


def flag_values(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield key and value of each ``--key VALUE`` and ``--key=VALUE``, in order, without ``--key+``, which adds."""
    for position, argument in enumerate(arguments):
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or key.endswith("+"):
            continue
        if equals:
            yield key, value
        elif position + 1 < len(arguments) and not arguments[position + 1].startswith("--"):
            yield key, arguments[position + 1]


def spelt_out(key: str, tree: Mapping[str, Any]) -> str:
    """Return a dotted key with the ``init_args`` that the command line lets one leave out (``data.root``).

    Args:
        key: as typed.
        tree: the merged configuration.
    """
    parts: list[str] = []
    node: Any = tree
    for part in key.split("."):
        known = isinstance(node, Mapping)
        if known and ("class_path" in node or "init_args" in node) and part not in CLASS_KEYS:
            parts.append("init_args")
            node = node.get("init_args")
        parts.append(part)
        node = node.get(part) if isinstance(node, Mapping) else None
    return ".".join(parts)


def resolve(merged: DictConfig, flags: Mapping[str, str]) -> dict[str, Any]:
    """Return the configuration with interpolations resolved as the flags would have them; the flags are not put in.

    Args:
        merged: the files' configuration.
        flags: value by dotted key, spelt out; LightningCLI parses them again, over the result.

    Raises:
        OmegaConfBaseException: if an interpolation does not resolve.
    """
    if not flags:
        return cast(dict[str, Any], OmegaConf.to_container(merged, resolve=True))
    seen: Any
    try:
        seen = OmegaConf.to_container(_with_flags(merged, flags), resolve=True)
    except OmegaConfBaseException as error:
        # a flag took away what another key refers to: the parser, or the method, says what is missing then
        if (seen := _resolved(merged)) is None:
            raise error
    return cast(dict[str, Any], _taken_over(OmegaConf.to_container(merged), seen))


def _resolved(merged: DictConfig) -> Any:
    """The configuration with interpolations resolved without flags; None where one does not resolve."""
    try:
        return OmegaConf.to_container(merged, resolve=True)
    except OmegaConfBaseException:
        return None


def _with_flags(merged: DictConfig, flags: Mapping[str, str]) -> DictConfig:
    tree = cast(dict[str, Any], copy.deepcopy(OmegaConf.to_container(merged)))
    for key, text in flags.items():
        value = _parsed(text)
        *parents, last = key.split(".")
        node: Any = tree
        for parent in parents:
            node = node.setdefault(parent, {}) if isinstance(node, dict) else None
        if isinstance(node, dict):
            old = node.get(last)
            if isinstance(value, str) and isinstance(old, dict) and "class_path" in old:
                old["class_path"] = value  # a class by its name alone; what was configured of the other stays
            else:
                node[last] = value
    return OmegaConf.create(tree)


def _parsed(text: str) -> Any:
    """A flag's value, read as YAML with OmegaConf's numbers (1e-3 is one)."""
    try:
        return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"])))["value"]
    except (yaml.YAMLError, OmegaConfBaseException):
        return text


def _taken_over(plain: Any, seen: Any) -> Any:
    """The plain tree with what ``seen`` has in the place of its interpolations."""
    if isinstance(plain, str):
        return seen if "${" in plain else plain
    if isinstance(plain, dict):
        values = seen if isinstance(seen, dict) else {}
        return {key: _taken_over(value, values.get(key)) for key, value in plain.items()}
    if isinstance(plain, list):
        others = seen if isinstance(seen, list) and len(seen) == len(plain) else [None] * len(plain)
        return [_taken_over(value, other) for value, other in zip(plain, others, strict=True)]
    return plain
