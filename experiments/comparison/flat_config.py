"""Configurations as dotted keys, and those keys in which runs differ."""

from collections.abc import Mapping, Sequence
from typing import Any

#: What names a run or its folder, and so differs between any two.
NAMES = ("run.", "trainer.default_root_dir", "trainer.logger.", "output", "predictions", "ckpt_path", "config")


def flatten(config: Any, prefix: str = "") -> dict[str, str]:
    """Map dotted keys to values as text: ``model.init_args.width: 64``.

    In a list of objects the class takes the place of the number: ``trainer.callbacks.Panels.frames: 4``.
    """
    if isinstance(config, Mapping) and config:
        items = [(f"{prefix}.{key}" if prefix else str(key), value) for key, value in config.items()]
    elif isinstance(config, list) and config and all(isinstance(part, Mapping) for part in config):
        names = [str(part.get("class_path", number)).rsplit(".", 1)[-1] for number, part in enumerate(config)]
        items = [(f"{prefix}.{name}", part.get("init_args", {})) for name, part in zip(names, config, strict=True)]
    else:
        return {prefix: as_text(config)}
    return {key: value for name, part in items for key, value in flatten(part, name).items()}


def as_text(value: Any) -> str:
    """Return a value as YAML writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(as_text(part) for part in value)}]"
    return str(value)


def differences(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[str | None]]:
    """Return the keys in which configurations differ, each with its value in every one; None where it is absent.

    What names a run is left out, and so is a configuration that is empty: nothing is recorded of it.
    """
    flat = [flatten(config) if config else {} for config in configs]
    recorded = [part for part in flat if part]
    keys = list(dict.fromkeys(key for part in recorded for key in part))
    kept = [
        key for key in keys if not any(key == name or key.startswith(name + "." * (name[-1] != ".")) for name in NAMES)
    ]
    return {
        key: [part.get(key) for part in flat] for key in sorted(kept) if len({part.get(key) for part in recorded}) > 1
    }
