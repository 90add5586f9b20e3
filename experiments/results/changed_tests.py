"""Tests of a run under other options than its own: they stand beside the run's metrics, never in their place.

``<run>/tests/<name>/`` then holds what a test leaves in a run's folder, with the record of what it was made with.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any

from callbacks.checkpoints.checkpoint_io import previous
from datamodules.files import ROOMS_MARKER
from datamodules.folder.description import read_description
from experiments.config.idle_options import ONLY_TRAINING
from experiments.config.old_keys import with_new_keys
from experiments.config.run_settings import TESTS as TESTS
from experiments.results.run_files import read_yaml
from lightning_modules.evaluation_options import EvaluationOptions

#: Options that a test may change without changing a metric's value: where files are, who reads them, and what gives
#: test sets of other names. Weights come from the checkpoint, and training losses play no part. Protocols and further
#: test sets are compared by :func:`tests_of`.
SAME_METRICS = (
    *ONLY_TRAINING,
    *(f"data.init_args.{name}" for name in (
        "root", "store", "num_workers", "eval_batch_size", "variants", "extra_tests",
    )),
    *(f"model.init_args.{name}" for name in ("pretrained", "depth_loss", "protocol", "test_protocols")),
)  # fmt: skip

#: Options of the trainer that change the values of metrics.
OF_TRAINER = ("precision", "limit_test_batches", "fast_dev_run")

#: Where options of the evaluation stand, and those that are off unless they are turned on.
EVALUATION = "model.init_args.evaluation"
SWITCHES = frozenset(option.name for option in fields(EvaluationOptions) if option.default is False)

#: Most characters of a name that is made of options.
LONGEST = 60


@dataclass(frozen=True)
class TestSet:
    """How a configuration tests on one data set.

    Attributes:
        config: the whole configuration.
        data: section of the data set.
        protocol: its evaluation protocol.
    """

    config: Mapping[str, Any]
    data: Mapping[str, Any]
    protocol: Any


def tests_of(config: Mapping[str, Any]) -> dict[str, TestSet]:
    """Return how a configuration tests on each data set, its own and further ones, by :func:`data_label`."""
    config = with_new_keys(config, warn=False)
    data, model = config.get("data") or {}, (config.get("model") or {}).get("init_args") or {}
    further = (data.get("init_args") or {}).get("extra_tests") or []
    protocols = [model.get("protocol"), *(model.get("test_protocols") or [])]
    found: dict[str, TestSet] = {}
    for own, protocol in zip_longest([data, *further], protocols):
        if own:
            found.setdefault(data_label(own), TestSet(config, own, protocol))
    return found


def recorded_tests(folder: Path) -> dict[str, TestSet]:
    """Return how a run was tested on each data set first, or would be: the tests whose metrics are the run's own.

    Args:
        folder: folder of the run.

    Raises:
        ConfigError: if a record cannot be read.
    """
    found: dict[str, TestSet] = {}
    for path in (folder / "config.yaml", *sorted(folder.glob("config-test-*.yaml"))):
        found = {**tests_of(read_yaml(path)), **found}
    return found


def changes(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the options of a test that differ from the run's own test on the same data: dotted key to value.

    Args:
        config: config of the test, resolved.
        folder: folder of the run.

    Raises:
        ConfigError: if a record of the run cannot be read.
    """
    found: dict[str, Any] = {}
    recorded = recorded_tests(folder)
    for label, mine in tests_of(config).items():
        if (own := recorded.get(label)) is None:
            continue
        found |= dict(_differences(mine.config.get("model"), own.config.get("model"), "model"))
        found |= dict(_differences(mine.data, own.data, "data"))
        found |= dict(_differences(mine.protocol, own.protocol, "protocol"))
        for name in OF_TRAINER:
            value, before = ((content.get("trainer") or {}).get(name) for content in (config, own.config))
            if value != before:
                found[f"trainer.{name}"] = value
        checkpoint = config.get("ckpt_path")
        if (
            checkpoint
            and checkpoint != own.config.get("ckpt_path")
            and not _is_own(Path(checkpoint), folder, own.config)
        ):
            found["ckpt_path"] = Path(checkpoint).stem
    return found


def data_label(data: Mapping[str, Any]) -> str:
    """Return what tells data sets apart before they are opened: the class, and whether the files are Rooms'.

    A folder that a `dataset.yaml` describes goes by the name that it gives.

    Args:
        data: section ``data`` of a configuration.
    """
    name = str(data.get("class_path", "")).rsplit(".", 1)[-1].removesuffix("DataModule").lower()
    root = Path(str((data.get("init_args") or {}).get("root", ""))).expanduser()
    if name == "folder":
        with suppress(OSError, ValueError):  # said where the data are opened
            return read_description(root).name
    # synthetic data is never called by another set's name
    return f"rooms-{name}" if (root / ROOMS_MARKER).is_file() else name


def name_of(changed: Mapping[str, Any]) -> str:
    """Return a folder name for a test: changed options and values, shortened, then digits that make it unique."""
    words = [f"{key.rpartition('.')[2]}-{_word(value)}" for key, value in changed.items()]
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", "_".join(words)).strip("-")[:LONGEST]
    return f"{readable}-{hashlib.sha256(repr(sorted(changed.items())).encode()).hexdigest()[:6]}"


def find_tests(folder: Path) -> list[str]:
    """Return the names of a run's further tests that have metrics."""
    return sorted(path.parent.name for path in folder.glob(f"{TESTS}/*/metrics.json"))


def _is_own(checkpoint: Path, folder: Path, config: Mapping[str, Any]) -> bool:
    """Return whether a checkpoint is the one that a run's own test takes, or one of its own while that is missing."""
    tested = folder / "checkpoints" / f"{(config.get('run') or {}).get('tested') or 'best'}.ckpt"
    if tested.exists():
        return checkpoint.resolve() in (tested.resolve(), previous(tested).resolve())
    return checkpoint.resolve().parent == tested.parent.resolve()


def _differences(mine: Any, theirs: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Return dotted keys whose values differ; a key that only one has is of another version of the suite.

    But a switch of the evaluation that the test turns on, and that the run does not know, was off in the run.
    """
    if any(f"{key}.".startswith(f"{idle}.") for idle in SAME_METRICS):
        return
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        for name in sorted(mine.keys() & theirs.keys()):
            yield from _differences(mine[name], theirs[name], f"{key}.{name}")
        if key == EVALUATION:
            yield from ((f"{key}.{name}", True) for name in sorted(SWITCHES - theirs.keys()) if mine.get(name) is True)
        elif f"{key}.evaluation" == EVALUATION and "evaluation" in mine and "evaluation" not in theirs:
            yield from _differences(mine["evaluation"], {}, EVALUATION)
    elif mine != theirs:
        yield key, mine


def _word(value: Any) -> str:
    """Return a value in a few letters; a section goes by its name or class."""
    if isinstance(value, Mapping):
        value = value.get("name") or str(value.get("class_path", "")).rsplit(".", 1)[-1] or "other"
    return "none" if value is None else str(value)
