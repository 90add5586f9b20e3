"""Where things are kept that can be made again."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datamodules.files import written_atomically


def cache_folder() -> Path:
    """Return ``SEGDEPTH_CACHE``, else ``XDG_CACHE_HOME/segdepth``, else ``~/.cache/segdepth``."""
    if cache := os.environ.get("SEGDEPTH_CACHE"):
        return Path(cache).expanduser()
    return (Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "segdepth").expanduser()


def remembered(key: str, compute: Callable[[], Any]) -> Any:
    """Return a JSON value that is computed once for all runs.

    Args:
        key: everything that the value depends on.
        compute: makes it.

    Raises:
        WriteError: if the cache cannot be written, naming the file.
    """
    path = cache_folder() / "statistics" / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:16]}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or damaged
        value = compute()
        with written_atomically(path, "set SEGDEPTH_CACHE to a folder that can be written") as file:
            file.write(json.dumps(value).encode())
        return value
