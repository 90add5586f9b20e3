"""`segdepth ablation`: every row of a paper's tables, trained and tested here, beside the published figures."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from datamodules.files import write_text_atomically
from experiments.config.arguments import take_flag
from experiments.config.compose import ConfigError, compose, experiment_names
from experiments.grid.jobs import Job, make_job
from experiments.grid.sweep import (
    exit_if_failed,
    grid_parser,
    jobs_at_a_time,
    make_slots,
    print_plan,
    run_jobs,
    split_flags,
)
from experiments.results.finished_runs import RunResult, read_runs
from experiments.results.published import PublishedTable, read_published, select_tables
from experiments.results.table import table_text

EPILOG = """\
FILE is a paper or one of its tables:   segdepth ablation semantic_md/table1 -- --config data/rooms
Flags after `--` go to every row.

A row that is finished is not run again, one that was interrupted goes on from its last checkpoint: give the same
command again, here or in another terminal or on another machine that sees the same folder."""


def ablation(arguments: Sequence[str]) -> None:
    """Run the experiments of a paper's tables, then print the tables with their figures, and write them.

    Raises:
        ConfigError: for a paper or a flag that cannot be used.
        SystemExit: with status 1 if a row failed.
        KeyboardInterrupt: after an interrupt has stopped the running rows.
    """
    options, extra = _parse(arguments)
    tables = select_tables(read_published(), [options.paper])
    group = "ablation-" + options.paper.replace("/", "-")
    jobs = ablation_jobs(group, tables, options.root, extra)
    if options.dry_run:
        print_plan(jobs)
        return
    todo = sum(not job.is_finished for job in jobs)
    slots = make_slots(options.devices, options.jobs or jobs_at_a_time(options.devices, todo))
    status = run_jobs(jobs, slots)
    text = table_text(tables, results_of(jobs, options.root))
    sys.stdout.write(text)
    path = options.root / group / "table.md"
    write_text_atomically(path, text)
    print(f"\n  {os.path.relpath(path)}")
    exit_if_failed(jobs, status)


def ablation_jobs(group: str, tables: Sequence[PublishedTable], root: Path, extra: Sequence[str]) -> list[Job]:
    """A job per experiment of the tables, in their order; an experiment that several rows share is run once.

    Args:
        group: names the whole; logs and locks lie in ``<root>/<group>``.
        tables: of one paper.
        root: folder of all runs.
        extra: flags for every row.

    Raises:
        ConfigError: if none of the rows has an experiment here, or a configuration cannot be composed.
    """
    wanted = dict.fromkeys(row.experiment for table in tables for row in table.rows if row.experiment)
    known = set(experiment_names())
    if absent := [name for name in wanted if name not in known]:
        print(f"no experiment here, left out: {', '.join(absent)}")
    rows = [name for name in wanted if name in known]
    if not rows:
        raise ConfigError(f"none of the rows of {', '.join(table.name for table in tables)} has an experiment here")
    composed = cache(compose)
    words = [Path(config).stem for config in take_flag(extra, "--config", "-c")[0]]
    return [
        make_job(group, {"experiment": name}, words, ["exp", "--config", name, *extra], root, composed) for name in rows
    ]


def results_of(jobs: Sequence[Job], root: Path) -> list[RunResult]:
    """Figures of the finished among some jobs."""
    folders = {job.folder for job in jobs}
    experiments = [job.experiment for job in jobs]
    return [result for result in read_runs(root, experiments) if result.folder in folders]


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    own, extra = split_flags(arguments)
    parser = grid_parser("segdepth ablation", "Run every row of a paper's tables on this machine.", EPILOG)
    parser.add_argument("paper", metavar="FILE", help="a paper, such as semantic_md, or a table of one, shed/table2")
    return parser.parse_args(own), extra
