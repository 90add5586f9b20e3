"""A short name for the data of a run that is the same wherever the same files are read with the same options."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from datamodules.frames import FrameReader
from datamodules.splits import Splits, spread

#: Facts of a description that belong to the machine or to the method, not to the data.
NOT_OF_THE_DATA = frozenset(
    {
        "root", "store", "class_mapping", "normalization", "provides", "layout", "depth_key", "extra_tests",
        "input_size", "variants", "remarks",
    }
)  # fmt: skip

#: Frames of each part whose depth is read.
PROBES = 3


def fingerprint(description: Mapping[str, Any], splits: Splits, reader: FrameReader) -> str:
    """Return twelve hexadecimal digits that stand for frames, parts, options and depth.

    Frames are known by scene, number and part, files by the depth of a few frames evenly spread over each part: to hash
    whole files would take minutes. Paths and modification times, by which caches tell files apart on one machine, play
    no part.

    Args:
        description: of the data, as plain JSON.
        splits: positions of the frames of each part.
        reader: the frames.
    """
    facts = {key: value for key, value in description.items() if key not in NOT_OF_THE_DATA}
    parts = {"train": splits.train, "val": splits.val, "test": splits.test}
    frames = {
        part: [(reader.scenes[i], int(reader.indices[i])) for i in positions] for part, positions in parts.items()
    }
    digest = hashlib.sha256(json.dumps([facts, frames], sort_keys=True, default=str).encode())
    for positions in parts.values():
        for position in spread(positions, PROBES):
            try:
                depth = reader.read_depth(position)
            except (OSError, ValueError):  # `on_bad_sample: skip` may leave it aside
                digest.update(b"unreadable")
            else:
                digest.update(str(tuple(depth.shape)).encode() + depth.float().numpy().tobytes())
    return digest.hexdigest()[:12]
