"""`segdepth compare`: runs side by side, in a table and on a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.config.error import ConfigError
from experiments.config.suggest import did_you_mean, known_experiments, nearest

if TYPE_CHECKING:
    from experiments.comparison.run_records import FrameTable, RunRecord
    from experiments.results.finished_runs import RunResult
    from experiments.results.published import PublishedTable

METRICS = ("abs_rel", "baseline_abs_rel", "rmse", "log10", "silog", "delta1", "delta2", "delta3")


def compare(
    experiments: Sequence[str] = (),
    /,
    *,
    runs_root: Path = Path("runs"),
    test: str = "",
    tag: str | None = None,
    paper: str | None = None,
    metrics: Sequence[str] = METRICS,
    html: bool = True,
    output: Path | None = None,
    embed_mb: float = 25.0,
    wandb: bool = True,
    wandb_project: str = "segdepth",
) -> None:
    """Print one row per finished run and test set, and write a page that shows the runs side by side.

    Args:
        experiments: names of experiments; all by default.
        runs_root: folder of all runs.
        test: a further test of each run, instead of its own.
        tag: only runs with this tag, such as quick or rooms.
        paper: only experiments of a paper, such as shed, or a table, such as shed/table2.
        metrics: columns of the table; the page has all metrics.
        html: write the page.
        output: the page; <runs_root>/compare.html by default.
        embed_mb: megabytes of pictures within the page.
        wandb: make a W&B workspace and report.
        wandb_project: W&B project, or entity/project.

    Raises:
        ConfigError: if there is no run, a name selects none, or the page cannot be written.
    """
    from experiments.comparison.frame_groups import frame_labels
    from experiments.comparison.page import MEGABYTE, write_page
    from experiments.results.published import read_published, select_tables

    if not embed_mb >= 0:
        raise ConfigError(f"--embed_mb: need megabytes, 0 or more, got {embed_mb:g}")
    if output is not None and output.is_dir():
        raise ConfigError(f"--output: {output} is a folder; name a file, such as compare.html")
    tables = select_tables(read_published(), [paper] if paper else [])
    runs = named_runs(runs_root, experiments, test=test, frames=html)
    check_metrics(metrics, runs)
    runs = select_runs(runs, tables if paper else None, paper, tag, runs_root)
    results = [result for run in runs for result in run.results]
    if results:
        frames = {(n, name): table for n, run in enumerate(runs) for name, table in readable_frames(run).items()}
        labels = frame_labels(runs, frames)
        sets = [labels[n, result.dataset] for n, run in enumerate(runs) for result in run.results]
        print_table(results, sets, metrics, f"Runs in {runs_root}")
    else:
        print(f"no finished run among {len(runs)} under {runs_root}")
    if html:
        path = output or runs_root / "compare.html"
        title = " ".join(["segdepth:", *(experiments or [paper or tag or "all runs"])])
        size = write_page(path, runs, tables, title, embed_mb)
        print(f"{path} ({size / MEGABYTE:.1f} MB): open it in a browser")
    if wandb:
        from experiments.comparison.wandb_report import publish

        print(publish(runs, wandb_project, runs_root / "compare_wandb.json"))


def named_runs(root: Path, experiments: Sequence[str], *, test: str = "", frames: bool = True) -> "list[RunRecord]":
    """Return the runs of some experiments, all without a name.

    Args:
        root: folder of all runs.
        experiments: names of experiments.
        test: a further test of each run, instead of its own.
        frames: whether per-image metrics are needed.

    Raises:
        ConfigError: if there is none, or a name selects none, with the nearest.
    """
    from experiments.comparison.run_records import find_runs
    from experiments.results.changed_tests import find_tests

    runs = find_runs(root, experiments, frames=frames, test=test)
    if not runs and test:
        known = sorted({name for run in find_runs(root, frames=False) for name in find_tests(run.folder)})
        raise ConfigError(f"--test: no run under {root} has a test `{test}`; {did_you_mean(test, known)}")
    if not runs and (not experiments or not known_experiments(root)):
        raise ConfigError(f"no run under {root} that can be read: `make exp NAME=shed_hybrid` makes one")
    if absent := sorted(set(experiments) - {run.experiment for run in runs}):
        meant = did_you_mean(absent[0], known_experiments(root))
        raise ConfigError(f"no run of {', '.join(absent)} under {root}; {meant}")
    return runs


def select_runs(
    runs: "list[RunRecord]",
    tables: "Sequence[PublishedTable] | None",
    paper: str | None,
    tag: str | None,
    root: Path,
) -> "list[RunRecord]":
    """Return the runs of experiments in a paper's tables, and with a tag.

    Args:
        runs: runs to select from.
        tables: tables of the paper; None for no such restriction.
        paper: name of the paper, for messages.
        tag: tag that a run must have; None for no such restriction.
        root: folder of all runs, for messages.

    Raises:
        ConfigError: if there is none.
    """
    if tables is not None:
        own = {row.experiment for table in tables for row in table.rows}
        runs = [run for run in runs if run.experiment in own]
    if tag:
        known = sorted({each for run in runs for each in run.tags})
        runs = [run for run in runs if tag in run.tags]
        if not runs and known:
            near = nearest(tag, known)
            meant = f"; did you mean `{near[0]}`?" if near else ""
            raise ConfigError(f"no run with the tag `{tag}` under {root}; tags: {', '.join(known)}{meant}")
    if not runs:
        wanted = " and ".join(filter(None, (paper, tag and f"the tag `{tag}`")))
        raise ConfigError(f"no run of {wanted} under {root}")
    return runs


def check_metrics(names: Sequence[str], runs: "Sequence[RunRecord]") -> None:
    """Refuse a metric that is asked for and that no run has.

    Raises:
        ConfigError: naming the metric and the most similar known one.
    """
    known = {metric for run in runs for result in run.results for metric in result.metrics}
    for name in names:
        if known and name not in known and name not in METRICS:
            raise ConfigError(f"--metrics: no run has a metric `{name}`; {did_you_mean(name, known)}")


def readable_frames(run: "RunRecord") -> "dict[str, FrameTable]":
    """Return the per-image metrics that can be read; the table needs them only to mark runs that are not comparable."""
    return run.frame_tables() if run.is_readable(frames=True) else {}


def print_table(results: "Sequence[RunResult]", sets: Sequence[str], metrics: Sequence[str], title: str) -> None:
    """Print one row per run and test set.

    Args:
        results: results to print, one per row.
        sets: name of each result's test set.
        metrics: metrics to print, one per column.
        title: heading above the table.
    """
    from rich.console import Console
    from rich.table import Table

    from experiments.comparison.frame_groups import DIFFERENT_FRAMES
    from experiments.health.surroundings import table_width

    table = Table("experiment", "run", "test set", "seed", "commit", *metrics, title=title)
    for result, name in zip(results, sets, strict=True):
        values = [f"{result.metrics[name]:.4f}" if name in result.metrics else "" for name in metrics]
        table.add_row(result.title, result.run, name, result.seed, result.commit, *values)
    said = dict.fromkeys(
        f"{result.dataset}: {'; '.join(result.said_of_data)}" for result in results if result.said_of_data
    )
    differ = (
        [DIFFERENT_FRAMES] if any(name != result.dataset for result, name in zip(results, sets, strict=True)) else []
    )
    table.caption, table.caption_justify = "\n".join([*differ, *said]) or None, "left"
    Console(width=table_width(Console(markup=False).width), markup=False).print(table)
