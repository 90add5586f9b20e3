"""Where things are kept that can be made again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """``SEGDEPTH_CACHE``, else ``XDG_CACHE_HOME/segdepth``, else ``~/.cache/segdepth``."""
    if cache := os.environ.get("SEGDEPTH_CACHE"):
        return Path(cache)
    return (Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "segdepth").expanduser()
