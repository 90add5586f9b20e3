"""A converted store, checked to be of the data that it is read in place of."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datamodules.files import printable
from datamodules.storage.store import StoreReader


def open_store(folder: str, options: Mapping[str, Any]) -> StoreReader:
    """Open a store, if it was made with the same options.

    Args:
        folder: of the store.
        options: everything that shapes frames and splits.

    Raises:
        FileNotFoundError: if there is none, or its conversion was not finished.
        ValueError: if it was made with other options, naming one, or its index is damaged.
    """
    stored = StoreReader(Path(folder).expanduser())
    mine = json.loads(json.dumps(options))
    theirs = {**stored.index["options"]}
    theirs["preprocess"] = [
        step for step in theirs["preprocess"] if not step.startswith("UnitDepth(")
    ]  # removed: no frame had it
    if different := sorted(key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key)):
        key = different[0]
        raise ValueError(
            f"{printable(stored.folder)}: was converted with `{key}` {theirs.get(key)!r}, but `data.init_args` has "
            f"{mine.get(key)!r}; set the same, or convert anew"
        )
    return stored
