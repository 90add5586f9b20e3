"""Slips in a configuration that its parser would answer with all that it was given."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.config.compose import Composition
from experiments.config.error import ConfigError
from experiments.config.flag_values import CLASS_KEYS
from experiments.config.suggest import nearest

#: What is configured by naming a class, what that is, and how one comes by it.
CLASSES = {
    "model": ("experiment", "`--config shed_hybrid`, or `base: [shed_hybrid]` in a file"),
    "data": ("data set", "`--config data/rooms`, or `base: [data/rooms]` in a file"),
}


def check_composition(composition: Composition, names: Sequence[str]) -> None:
    """Check what is named, and the keys beside each ``class_path``.

    Args:
        composition: the merged configuration.
        names: of the configurations on the command line.

    Raises:
        ConfigError: naming file and line, the nearest key, or what is missing.
    """
    for section in CLASSES:
        for key, node in _class_mappings(composition.config.get(section), section):
            _check_keys(key, node, composition)
    for section, (what, how) in CLASSES.items():
        content = composition.config.get(section) or {}
        if "class_path" not in content and not {section, f"{section}.class_path"} & set(composition.flags):
            raise ConfigError(
                f"{', '.join(names)}: no {what} is named (nothing sets `{section}.class_path`): add {how}"
            )


def _class_mappings(node: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Mappings that configure a class, and their dotted keys; of those in lists, the list's."""
    if isinstance(node, Mapping):
        if "class_path" in node or key in CLASSES:
            yield key, node
        for name, value in node.items():
            yield from _class_mappings(value, f"{key}.{name}")
    elif isinstance(node, list):
        for value in node:
            yield from _class_mappings(value, key)


def _check_keys(key: str, node: Mapping[str, Any], composition: Composition) -> None:
    for name in node:
        if name in CLASS_KEYS:
            continue
        if near := nearest(str(name), CLASS_KEYS):
            fix = f"did you mean `{key}.{near[0]}`?"
        else:
            fix = f"arguments of the class stand under `{key}.init_args`"
        raise ConfigError(f"{composition.place(f'{key}.{name}')}: there is no key `{key}.{name}`; {fix}")
