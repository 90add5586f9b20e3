"""Finished runs: their metrics, and the record of how they were trained and tested."""

import glob
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.config.compose import ConfigError
from experiments.results.changed_tests import TESTS
from experiments.results.marks import oracle_mark, oracle_of, truth_mark
from experiments.results.of_run import OfRun, folder_of_test
from experiments.results.run_files import check_records, in_order, leave_out, read_json, read_yaml, records

#: Suffix of a test set's name where a method was given predicted semantics instead of true ones.
PREDICTED_SEMANTICS = "_predicted_semantics"


@dataclass(frozen=True)
class RunResult(OfRun):
    """Metrics of one run on one test set.

    Attributes:
        folder: the run's folder, ``<root>/<experiment>/<run>``.
        dataset: name of the test set, as in metric keys.
        metrics: metric name to value.
        environment: record of the command that made the run; empty where there is none.
        test: name of a further test of the run; empty for its own.
    """

    dataset: str
    metrics: dict[str, float]
    environment: dict[str, Any]
    test: str = ""

    @property
    def place(self) -> Path:
        """Return the folder of the test's records."""
        return folder_of_test(self.folder, self.test)

    @property
    def oracle(self) -> str:
        """Mark of a method that reads ground truth in this test, such as ``oracle semantics``; empty for any other."""
        if self.dataset.endswith(PREDICTED_SEMANTICS):
            return ""
        return oracle_mark(self.environment.get("oracle") or oracle_of(self.experiment))

    @property
    def mark(self) -> str:
        """Return what tables put behind the method's name: its oracle mark, and what the truth is known up to."""
        return ", ".join(filter(None, (self.oracle, truth_mark(self.tested_with[0].get("data", {}).get("truth", "")))))

    @property
    def title(self) -> str:
        """Name of the experiment, with its mark if it has one."""
        return self.experiment + (f" ({self.mark})" if self.mark else "")

    @property
    def seed(self) -> str:
        """Seed of the run; empty where none is recorded."""
        seed = self.environment.get("seed")
        return "" if seed is None else str(seed)

    @property
    def commit(self) -> str:
        """Return the commit in seven digits, with a star if files differed from it; empty where none is recorded."""
        return self.environment.get("commit", "")[:7] + ("*" if self.environment.get("dirty") else "")

    @property
    def trained_on(self) -> str | None:
        """Return the data set that the run was trained on; None for a checkpoint or predictions from elsewhere."""
        command = self.environment.get("command", "").split()[1:2]
        trained = command not in (["test"], ["validate"], ["evaluate"])
        return self.environment.get("data", {}).get("name") if trained else None

    @property
    def said_of_data(self) -> tuple[str, ...]:
        """Return remarks on the test set's frames to print beside metrics, such as the origin that their file names."""
        return tuple(self.tested_with[0].get("data", {}).get("remarks", ()))

    @cached_property
    def variant(self) -> dict[str, Any]:
        """Return how the test frames were altered, as ``Variant.describe`` has it; empty if they were not."""
        return variants_in(self.place).get(self.dataset, {})

    @cached_property
    def tested_with(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return environment and configuration of the test; empty where none is recorded.

        A test in the folder of a trained run leaves records of its own beside those of the training; the newest that
        names the data set, its own, a further test set or a variant of either, counts. Data and protocol are then those
        of the test set.

        Raises:
            ConfigError: if a record cannot be read.
        """
        tested_on = self.dataset.removesuffix(PREDICTED_SEMANTICS)
        for path in records(self.place):
            environment = read_json(path)
            for number, tested in enumerate(tested_data(environment)):
                if tested_on in (tested.get("name"), *(shown["name"] for shown in tested.get("variants", []))):
                    config = path.with_name(path.name.replace("environment", "config")).with_suffix(".yaml")
                    return {**environment, "data": tested}, with_protocol(read_yaml(config), number)
        return {}, {}


def tested_data(environment: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a record says of the data, then of each further test set."""
    data = environment.get("data", {})
    return [data, *data.get("extra_tests", [])]


def variants_in(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the variants of test sets that a run was tested on, by their names in metric keys.

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
    """Return a test's configuration with the protocol of its test set ``number``; 0 is the set that it trained on."""
    model = config.get("model", {})
    arguments = model.get("init_args", {})
    protocols = [arguments.get("protocol"), *(arguments.get("test_protocols") or [])]
    if not 0 < number < len(protocols):
        return config
    return {**config, "model": {**model, "init_args": {**arguments, "protocol": protocols[number]}}}


def read_runs(root: Path, experiments: Sequence[str] = (), test: str = "") -> list[RunResult]:
    """Read the results of every run with a ``metrics.json``, oldest first, one per test set.

    A run of which a file cannot be read is left out, with a warning that names the file.

    Args:
        root: folder of all runs.
        experiments: names of experiments; all by default.
        test: name of a further test to read instead of the runs' own; runs without it are skipped.
    """
    results: list[RunResult] = []
    pattern = f"{TESTS}/{glob.escape(test)}/metrics.json" if test else "metrics.json"
    up = 2 if test else 0
    folders = [path.parents[up] for path in root.glob(f"*/*/{pattern}")]
    folders = [folder for folder in folders if not experiments or folder.parent.name in experiments]
    for folder in in_order(folders, lambda folder: (folder / pattern).stat().st_mtime, tests=True):
        try:
            results += read_run(folder, test)
        except ConfigError as error:
            leave_out(error)
    return results


def read_run(folder: Path, test: str = "") -> list[RunResult]:
    """Read the results of a run, one per test set; none if it is not finished.

    Args:
        folder: folder of the run.
        test: a further test of it, in the place of its own.

    Raises:
        ConfigError: if a file cannot be read, naming it.
    """
    place = folder_of_test(folder, test)
    check_records(place)
    path, environment = place / "metrics.json", read_json(folder / "environment.json")
    by_dataset: dict[str, dict[str, float]] = {}
    for key, value in read_json(path).items():
        stage, dataset, metric = (*key.split("/", 2), "", "")[:3]
        value = math.nan if value is None else value  # as RunSummary writes a value that is not finite
        if stage != "test" or not metric or not isinstance(value, int | float):
            raise ConfigError(f"{path}: need `test/<data set>/<metric>: number`, got `{key}: {value}`")
        by_dataset.setdefault(dataset, {})[metric] = value
    return [RunResult(folder, name, metrics, environment, test) for name, metrics in sorted(by_dataset.items())]
