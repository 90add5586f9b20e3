"""Reads the records that a run leaves, naming damaged ones, and puts runs in the order in which they began."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from experiments.config.error import ConfigError
from experiments.config.old_names import rename
from experiments.config.yaml_file import read_yaml_file


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file that holds an object; empty if there is no file.

    Raises:
        ConfigError: if the file cannot be read, is not JSON, or holds no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON ({error}); test the run again, or move its folder away") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: need a JSON object, got {type(content).__name__}; test the run again")
    return content


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a run's configuration, with old names replaced by today's; empty if there is no file.

    Raises:
        ConfigError: if it is not a YAML mapping.
    """
    if not path.exists():
        return {}
    content = read_yaml_file(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: need a YAML mapping, got {type(content).__name__}")
    renamed: dict[str, Any] = rename(content)
    return renamed


def check_records(folder: Path) -> None:
    """Check that what a run recorded of itself and of its tests can be read, and has the shape it was written in.

    Raises:
        ConfigError: if not, naming the file.
    """
    for path in folder.glob("environment*.json"):
        content = read_json(path)
        try:
            _texts(content, "started", "command", "commit")
            for tested in (content.get("data", {}), *content.get("data", {}).get("extra_tests", ())):
                _texts(tested, "name")
                _mappings(tested, "options", "frames")
                for shown in tested.get("variants", ()):
                    _texts(shown, "name", "variant")
                    shown["name"], shown["variant"]
        except (AttributeError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: not as a run writes it ({error}); test the run again") from error
    for path in folder.glob("config*.yaml"):
        content = read_yaml(path)
        try:
            _mappings(content, "model", "data", "trainer", "run")
            arguments = content.get("model", {}).get("init_args", {})
            _mappings(arguments, "protocol", "evaluation")
            _mappings(arguments.get("evaluation") or {}, "boundary")
        except (AttributeError, TypeError) as error:
            raise ConfigError(f"{path}: not as a run writes it ({error}); move the run's folder away") from error


def _texts(content: Mapping[str, Any], *keys: str) -> None:
    for key in keys:
        if not isinstance(content.get(key, ""), str):
            raise TypeError(f"`{key}` is no text")


def _mappings(content: Mapping[str, Any], *keys: str) -> None:
    for key in keys:
        if not isinstance(content.get(key) or {}, dict):
            raise TypeError(f"`{key}` is no mapping")


def leave_out(error: ConfigError) -> None:
    """Warn that a run is left out, and why."""
    print(f"segdepth: warning: {error}; this run is left out", file=sys.stderr)


def started(record: Path) -> float | None:
    """Return when the command that wrote an ``environment.json`` began, in seconds since 1970; None if not recorded.

    Raises:
        ConfigError: if it cannot be read.
    """
    content = read_json(record)
    try:
        return datetime.fromisoformat(content["started"]).timestamp()
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


def records(folder: Path) -> list[Path]:
    """Return the records of how a run was made and tested, newest first.

    Raises:
        ConfigError: if one cannot be read.
    """
    found = [*folder.glob("environment.json"), *folder.glob("environment-test*.json")]
    times = {path: started(path) or path.stat().st_mtime for path in found}
    return sorted(found, key=times.__getitem__, reverse=True)


def in_order(folders: Iterable[Path], otherwise: Callable[[Path], float], *, tests: bool = False) -> list[Path]:
    """Return run folders in the order in which the runs began, as they recorded it: copying changes file times.

    A copy comes before what it was copied from. A run whose record cannot be read is left out, with a warning.

    Args:
        folders: folders of the runs.
        otherwise: the time of a run that recorded none.
        tests: whether a later test in the folder counts, too.
    """
    times: dict[Path, float] = {}
    for folder in folders:
        try:
            paths = records(folder) if tests else [folder / "environment.json"]
            times[folder] = max(filter(None, map(started, paths)), default=None) or otherwise(folder)
        except ConfigError as error:
            leave_out(error)
    alike = Counter(times.values())
    return sorted(times, key=lambda folder: (times[folder], alike[times[folder]] == 1 or _is_original(folder), folder))


def _is_original(folder: Path) -> bool:
    """Return whether a run lies where its configuration says, and not elsewhere as a copy does."""
    try:
        return bool((read_yaml(folder / "config.yaml").get("run") or {}).get("name") == folder.name)
    except (AttributeError, ConfigError):
        return False
