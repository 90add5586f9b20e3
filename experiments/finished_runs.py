"""Finished runs: their figures, and the record of how they were trained and tested."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from experiments.compose import ConfigError
from experiments.published import ORACLES, oracle_mark

#: Ends the name of a test set where a method was given predicted semantics instead of its true ones.
PREDICTED_SEMANTICS = "_predicted_semantics"


@dataclass(frozen=True)
class RunResult:
    """Figures of one run on one test set.

    Attributes:
        folder: the run's own, ``<root>/<experiment>/<run>``.
        dataset: name of the test set, as in metric keys.
        figures: metric name to figure.
        environment: record of the command that made the run; empty where there is none.
    """

    folder: Path
    dataset: str
    figures: dict[str, float]
    environment: dict[str, Any]

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        return self.folder.parent.name

    @property
    def run(self) -> str:
        """Name of the run within its experiment."""
        return self.folder.name

    @property
    def oracle(self) -> str:
        """Mark of a method that reads ground truth in this test, such as ``oracle semantics``; empty for any other."""
        if self.dataset.endswith(PREDICTED_SEMANTICS):
            return ""
        return oracle_mark(self.environment.get("oracle") or ORACLES.get(self.experiment, ""))

    @property
    def title(self) -> str:
        """Experiment and mark, for a reader."""
        return self.experiment + (f" ({self.oracle})" if self.oracle else "")

    @property
    def seed(self) -> str:
        """Seed of the run; empty where none is recorded."""
        seed = self.environment.get("seed")
        return "" if seed is None else str(seed)

    @property
    def commit(self) -> str:
        """Commit in seven digits, with a star if files differed from it; empty where none is recorded."""
        return self.environment.get("commit", "")[:7] + ("*" if self.environment.get("dirty") else "")

    @property
    def trained_on(self) -> str | None:
        """Data set that the run was trained on; None for a checkpoint or predictions from elsewhere."""
        command = self.environment.get("command", "").split()[1:2]
        trained = command not in (["test"], ["validate"], ["evaluate"])
        return self.environment.get("data", {}).get("name") if trained else None

    @property
    def said_of_data(self) -> tuple[str, ...]:
        """What must be said of the test set's frames beside figures, such as where their file says they come from."""
        return tuple(self.tested_with[0].get("data", {}).get("remarks", ()))

    @cached_property
    def variant(self) -> dict[str, Any]:
        """What sets the view of the test frames apart from the run's own, as ``Variant.describe``; empty if nothing."""
        return variants_in(self.folder).get(self.dataset, {})

    @cached_property
    def tested_with(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Environment and configuration of the test; empty where none is recorded.

        A test in the folder of a trained run leaves records of its own beside those of the training; the newest that
        names the data set, its own, a further test set or a variant of either, counts. Data and protocol are then those
        of the test set.

        Raises:
            ConfigError: if a record cannot be read.
        """
        tested_on = self.dataset.removesuffix(PREDICTED_SEMANTICS)
        for path in records(self.folder):
            environment = read_json(path)
            for number, tested in enumerate(tested_data(environment)):
                if tested_on in (tested.get("name"), *(shown["name"] for shown in tested.get("variants", []))):
                    config = path.with_name(path.name.replace("environment", "config")).with_suffix(".yaml")
                    return {**environment, "data": tested}, with_protocol(read_yaml(config), number)
        return {}, {}


def records(folder: Path) -> list[Path]:
    """Records of how a run was made and tested, the newest first."""
    found = [*folder.glob("environment.json"), *folder.glob("environment-test*.json")]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def tested_data(environment: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a record says of the data, then of each further test set."""
    data = environment.get("data", {})
    return [data, *data.get("extra_tests", [])]


def variants_in(folder: Path) -> dict[str, dict[str, Any]]:
    """Variants of test sets that a run was tested on, by their names in metric keys.

    Raises:
        ConfigError: if a record cannot be read.
    """
    return {
        shown["name"]: shown
        for path in records(folder)
        for tested in tested_data(read_json(path))
        for shown in tested.get("variants", [])
    }


def with_protocol(config: dict[str, Any], number: int) -> dict[str, Any]:
    """Configuration of a test whose protocol is that of its test set ``number``; 0 is the set that it trained on."""
    model = config.get("model", {})
    arguments = model.get("init_args", {})
    protocols = [arguments.get("protocol"), *(arguments.get("test_protocols") or [])]
    if not 0 < number < len(protocols):
        return config
    return {**config, "model": {**model, "init_args": {**arguments, "protocol": protocols[number]}}}


def read_runs(root: Path, experiments: Sequence[str] = ()) -> list[RunResult]:
    """Results of every run with a ``metrics.json``, oldest first, one per test set.

    Args:
        root: folder of all runs.
        experiments: names of experiments; all by default.

    Raises:
        ConfigError: if a file of a run cannot be read, naming it.
    """
    results = []
    for path in sorted(root.glob("*/*/metrics.json"), key=lambda path: (path.stat().st_mtime, path)):
        if experiments and path.parent.parent.name not in experiments:
            continue
        environment = read_json(path.with_name("environment.json"))
        by_dataset: dict[str, dict[str, float]] = {}
        for key, value in read_json(path).items():
            stage, dataset, metric = (*key.split("/", 2), "", "")[:3]
            value = math.nan if value is None else value  # as RunSummary writes a figure that is not finite
            if stage != "test" or not metric or not isinstance(value, int | float):
                raise ConfigError(f"{path}: need `test/<data set>/<metric>: number`, got `{key}: {value}`")
            by_dataset.setdefault(dataset, {})[metric] = value
        results += [RunResult(path.parent, name, figures, environment) for name, figures in sorted(by_dataset.items())]
    return results


def read_json(path: Path) -> dict[str, Any]:
    """Content of a JSON file that holds an object; empty if there is no file.

    Raises:
        ConfigError: if it holds anything else.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON ({error}); test the run again, or move its folder away") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: need a JSON object, got {type(content).__name__}; test the run again")
    return content


def read_yaml(path: Path) -> dict[str, Any]:
    """Content of a run's configuration; empty if there is no file.

    Raises:
        ConfigError: if it is not a YAML mapping.
    """
    if not path.exists():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: need a YAML mapping, got {type(content).__name__}")
    return content
