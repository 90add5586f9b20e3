"""`segdepth compare`: finished runs side by side."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from experiments.compose import ConfigError
from experiments.finished_runs import read_runs

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
    results = read_runs(options.root, options.experiments)
    if not results:
        raise ConfigError(f"no finished run under {options.root}: `make exp NAME=shed_hybrid` makes one")
    table = Table("experiment", "run", "test set", "seed", "commit", *options.metrics, title=f"Runs in {options.root}")
    for result in results:
        values = [f"{result.figures[name]:.4f}" if name in result.figures else "" for name in options.metrics]
        table.add_row(result.experiment, result.run, result.dataset, result.seed, result.commit, *values)
    width = int(os.environ.get("COLUMNS", "0")) or max(Console().width, 160)
    Console(width=width).print(table)
