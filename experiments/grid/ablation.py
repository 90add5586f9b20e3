"""`segdepth ablation`: every row of a paper's tables, trained and tested here, beside the published results."""

import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.config.arguments import take_flag
from experiments.config.command_line import RunFlags
from experiments.config.compose import ConfigError, compose, experiment_names
from experiments.grid.jobs import Job, make_job
from experiments.grid.machine_options import MachineOptions
from experiments.grid.sweep import exit_if_failed, jobs_at_a_time, make_slots, print_plan, run_jobs

if TYPE_CHECKING:
    from experiments.results.finished_runs import RunResult
    from experiments.results.published import PublishedTable


def ablation(paper: str, /, *, machine: MachineOptions, run_flags: RunFlags) -> None:
    """Run every row of a paper's tables on this machine, then print the tables with their metrics, and write them.

    Args:
        paper: a paper, such as semantic_md, or a table of one, such as shed/table2.
        machine: what it may use.
        run_flags: flags of every run.

    Raises:
        ConfigError: for a paper or a flag that cannot be used.
        SystemExit: with status 1 if a row failed.
        KeyboardInterrupt: after an interrupt has stopped the running rows.
    """
    from datamodules.files import write_text_atomically
    from experiments.results.published import read_published, select_tables
    from experiments.results.table import table_text

    tables = select_tables(read_published(), [paper])
    group = "ablation-" + paper.replace("/", "-")
    jobs = ablation_jobs(group, tables, machine.runs_root, run_flags)
    if machine.dry_run:
        print_plan(jobs)
        return
    todo = sum(not job.is_finished for job in jobs)
    slots = make_slots(machine.devices, machine.jobs or jobs_at_a_time(machine.devices, todo))
    status = run_jobs(jobs, slots)
    text = table_text(tables, results_of(jobs, machine.runs_root))
    sys.stdout.write(text)
    path = machine.runs_root / group / "table.md"
    write_text_atomically(path, text)
    print(f"\n  {os.path.relpath(path)}")
    exit_if_failed(jobs, status)


def ablation_jobs(group: str, tables: "Sequence[PublishedTable]", root: Path, extra: Sequence[str]) -> list[Job]:
    """Return a job per experiment of the tables, in their order; an experiment that several rows share is run once.

    Args:
        group: name of the whole; logs and locks lie in ``<root>/<group>``.
        tables: tables of one paper.
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


def results_of(jobs: Sequence[Job], root: Path) -> "list[RunResult]":
    """Return the test results of those jobs that are finished."""
    from experiments.results.finished_runs import read_runs

    folders = {job.folder for job in jobs}
    experiments = [job.experiment for job in jobs]
    return [result for result in read_runs(root, experiments) if result.folder in folders]
