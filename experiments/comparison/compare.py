"""`segdepth compare`: runs side by side, in a table and on a page."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from experiments.comparison.frame_groups import DIFFERENT_FRAMES, frame_labels
from experiments.comparison.page import MEGABYTE, write_page
from experiments.comparison.run_records import FrameTable, RunRecord, find_runs
from experiments.comparison.wandb_report import publish
from experiments.config.compose import ConfigError
from experiments.config.suggest import did_you_mean, known_experiments
from experiments.health.surroundings import table_width
from experiments.results.changed_tests import find_tests
from experiments.results.finished_runs import RunResult
from experiments.results.published import PublishedTable, read_published, select_tables

METRICS = ("abs_rel", "baseline_abs_rel", "rmse", "log10", "silog", "delta1", "delta2", "delta3")


def compare(arguments: Sequence[str]) -> None:
    """Print one row per run and test set, and write the page.

    Raises:
        ConfigError: if there is no run, or a name selects none.
    """
    options = read_command_line(arguments)
    tables = select_tables(read_published(), [options.paper] if options.paper else [])
    runs = select_runs(options, tables)
    results = [result for run in runs for result in run.results]
    if results:
        frames = {(n, name): table for n, run in enumerate(runs) for name, table in readable_frames(run).items()}
        labels = frame_labels(runs, frames)
        sets = [labels[n, result.dataset] for n, run in enumerate(runs) for result in run.results]
        print_table(results, sets, options.metrics, f"Runs in {options.root}")
    else:
        print(f"no finished run among {len(runs)} under {options.root}")
    if options.html:
        path = options.output or options.root / "compare.html"
        title = " ".join(["segdepth:", *(options.experiments or [options.paper or options.tag or "all runs"])])
        size = write_page(path, runs, tables, title, options.embed_mb)
        print(f"{path} ({size / MEGABYTE:.1f} MB): open it in a browser")
    if options.wandb:
        print(publish(runs, options.wandb_project, options.root / "compare_wandb.json"))


def read_command_line(arguments: Sequence[str]) -> argparse.Namespace:
    """Options of the command.

    Raises:
        ConfigError: for a negative budget.
    """
    parser = argparse.ArgumentParser(prog="segdepth compare", description="Runs side by side.", allow_abbrev=False)
    parser.add_argument("experiments", nargs="*", help="names of experiments; all by default")
    parser.add_argument("--root", type=Path, default=Path("runs"), help="folder of all runs")
    parser.add_argument("--test", default="", help="a further test of each run, in the place of its own")
    parser.add_argument("--tag", help="only runs with this tag, such as quick or rooms")
    parser.add_argument("--paper", help="only experiments of a paper, such as shed, or a table, such as shed/table2")
    parser.add_argument("--metrics", nargs="+", default=METRICS, help="figures to print; the page has all")
    parser.add_argument("--html", type=truth, default=True, help="false: no page")
    parser.add_argument("--output", type=Path, help="the page; <root>/compare.html by default")
    parser.add_argument("--embed_mb", type=float, default=25, help="megabytes of pictures within the page")
    parser.add_argument("--wandb", type=truth, default=True, help="false: no W&B workspace and report")
    parser.add_argument("--wandb_project", default="segdepth", help="W&B project, or entity/project")
    options = parser.parse_args(arguments)
    if not options.embed_mb >= 0:
        raise ConfigError(f"--embed_mb: need megabytes, 0 or more, got {options.embed_mb:g}")
    if options.output is not None and options.output.is_dir():
        raise ConfigError(f"--output: {options.output} is a folder; name a file, such as compare.html")
    return options


def truth(text: str) -> bool:
    """``true`` or ``false``."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"true or false, not {text!r}")
    return text.lower() == "true"


def select_runs(options: argparse.Namespace, tables: Sequence[PublishedTable]) -> list[RunRecord]:
    """Runs that the options ask for.

    Raises:
        ConfigError: if there is none, or a name selects none.
    """
    runs = find_runs(options.root, options.experiments, frames=options.html, test=options.test)
    if not runs and options.test:
        known = sorted({name for run in find_runs(options.root, frames=False) for name in find_tests(run.folder)})
        raise ConfigError(
            f"--test: no run under {options.root} has a test `{options.test}`; {did_you_mean(options.test, known)}"
        )
    if not runs and (not options.experiments or not known_experiments(options.root)):
        raise ConfigError(f"no run under {options.root} that can be read: `make exp NAME=shed_hybrid` makes one")
    check_metrics(options.metrics, runs)
    if absent := sorted(set(options.experiments) - {run.experiment for run in runs}):
        meant = did_you_mean(absent[0], known_experiments(options.root))
        raise ConfigError(f"no run of {', '.join(absent)} under {options.root}; {meant}")
    if options.paper:
        own = {row.experiment for table in tables for row in table.rows}
        runs = [run for run in runs if run.experiment in own]
    if options.tag:
        known = sorted({tag for run in runs for tag in run.tags})
        runs = [run for run in runs if options.tag in run.tags]
        if not runs and known:
            raise ConfigError(f"no run with the tag `{options.tag}` under {options.root}; tags: {', '.join(known)}")
    if not runs:
        wanted = " and ".join(filter(None, (options.paper, options.tag and f"the tag `{options.tag}`")))
        raise ConfigError(f"no run of {wanted} under {options.root}")
    return runs


def check_metrics(names: Sequence[str], runs: Sequence[RunRecord]) -> None:
    """Refuse a figure that is asked for and that no run has.

    Raises:
        ConfigError: naming it and the nearest.
    """
    known = {figure for run in runs for result in run.results for figure in result.figures}
    for name in names:
        if known and name not in known and name not in METRICS:
            raise ConfigError(f"--metrics: no run has a figure `{name}`; {did_you_mean(name, known)}")


def readable_frames(run: RunRecord) -> dict[str, FrameTable]:
    """Figures of single images, where they can be read: the table of runs needs them only to mark what is no pair."""
    return run.frame_tables() if run.is_readable(frames=True) else {}


def print_table(results: Sequence[RunResult], sets: Sequence[str], metrics: Sequence[str], title: str) -> None:
    """Print one row per run and test set.

    Args:
        results: a row each.
        sets: what the test set of each is called.
        metrics: a column each.
        title: above the table.
    """
    table = Table("experiment", "run", "test set", "seed", "commit", *metrics, title=title)
    for result, name in zip(results, sets, strict=True):
        values = [f"{result.figures[name]:.4f}" if name in result.figures else "" for name in metrics]
        table.add_row(result.title, result.run, name, result.seed, result.commit, *values)
    said = dict.fromkeys(
        f"{result.dataset}: {'; '.join(result.said_of_data)}" for result in results if result.said_of_data
    )
    differ = (
        [DIFFERENT_FRAMES] if any(name != result.dataset for result, name in zip(results, sets, strict=True)) else []
    )
    table.caption, table.caption_justify = "\n".join([*differ, *said]) or None, "left"
    Console(width=table_width(Console(markup=False).width), markup=False).print(table)
