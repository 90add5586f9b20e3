"""Reads the log of an offline W&B run back, record by record, without W&B's own reader.

The file is a LevelDB log (its documentation: `log_format.md`) behind a header of seven bytes: blocks of 32 KiB of
chunks of (CRC-32, length, type), each a whole record or its first, a middle or its last piece.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from wandb.proto.wandb_internal_pb2 import Record

HEADER, BLOCK = 7, 32 * 1024
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


class LoggedRun(NamedTuple):
    """What the parts of a run hold together, in the order of their making."""

    ids: list[str]
    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    config: dict[str, Any]
    metrics: dict[str, Any]
    artifacts: list[Any]
    run: Any


def read_records(path: Path) -> Iterator[Record]:
    data = path.read_bytes()
    assert data[:4] == b":W&B", path
    position, pieces = HEADER, b""
    while position + 7 <= len(data):
        left = BLOCK - position % BLOCK
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        if kind == 0:
            break
        pieces += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(pieces)
            pieces = b""
            yield record


def read_run(folder: Path) -> LoggedRun:
    """The run in a run folder's `wandb`."""
    logged = LoggedRun([], [], {}, {}, {}, [], [])
    for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        for record in read_records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                logged.run.append(record.run)
                logged.ids.append(record.run.run_id)
                logged.config.update(items(record.run.config.update))
            elif kind == "config":
                logged.config.update(items(record.config.update))
            elif kind == "history":
                logged.rows.append(items(record.history.item))
            elif kind == "summary":
                logged.summary.update(items(record.summary.update))
            elif kind == "metric":
                logged.metrics[record.metric.name or record.metric.glob_name] = record.metric
            elif kind == "artifact":
                logged.artifacts.append(record.artifact)
    return logged


def items(entries: Any) -> dict[str, Any]:
    return {"/".join(entry.nested_key) or entry.key: json.loads(entry.value_json) for entry in entries}
