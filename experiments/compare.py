"""`segdepth compare`: finished runs side by side."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from experiments.compose import ConfigError

METRICS = ("abs_rel", "baseline_abs_rel", "rmse", "log10", "silog", "delta1", "delta2", "delta3")


def compare(arguments: Sequence[str]) -> None:
    """Print one row per run and test set.

    Raises:
        ConfigError: if there is no finished run.
    """
    parser = argparse.ArgumentParser(prog="segdepth compare", description="Finished runs side by side.")
    parser.add_argument("experiments", nargs="*", help="names of experiments; all by default")
    parser.add_argument("--root", type=Path, default=Path("runs"), help="folder of all runs")
    parser.add_argument("--metrics", nargs="+", default=METRICS, help="figures to show")
    options = parser.parse_args(arguments)
    rows = list(read_runs(options.root, options.experiments))
    if not rows:
        raise ConfigError(f"no finished run under {options.root}: `make exp NAME=shed_hybrid` makes one")
    table = Table("experiment", "run", "test set", "seed", "commit", *options.metrics, title=f"Runs in {options.root}")
    for experiment, run, dataset, environment, figures in rows:
        commit = environment.get("commit", "")[:7] + ("*" if environment.get("dirty") else "")
        values = [f"{figures[name]:.4f}" if name in figures else "" for name in options.metrics]
        table.add_row(experiment, run, dataset, str(environment.get("seed", "")), commit, *values)
    width = int(os.environ.get("COLUMNS", "0")) or max(Console().width, 160)
    Console(width=width).print(table)


def read_runs(root: Path, experiments: Sequence[str]) -> list[tuple[str, str, str, dict, dict[str, float]]]:
    """Experiment, run, test set, environment and figures of every run with a ``metrics.json``, oldest first."""
    rows = []
    for path in sorted(root.glob("*/*/metrics.json"), key=lambda p: p.stat().st_mtime):
        experiment, run = path.parent.parent.name, path.parent.name
        if experiments and experiment not in experiments:
            continue
        recorded = path.with_name("environment.json")
        environment = json.loads(recorded.read_text(encoding="utf-8")) if recorded.exists() else {}
        by_dataset: dict[str, dict[str, float]] = {}
        for key, value in json.loads(path.read_text(encoding="utf-8")).items():
            _, dataset, metric = key.split("/", 2)
            by_dataset.setdefault(dataset, {})[metric] = value
        rows += [(experiment, run, dataset, environment, figures) for dataset, figures in sorted(by_dataset.items())]
    return rows
