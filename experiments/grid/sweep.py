"""`segdepth sweep`: a W&B sweep file without W&B."""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from experiments.config.compose import ConfigError
from experiments.grid import grid_runner as sweep_grid
from experiments.grid.grid_runner import FAILED, GridRunner, Slot
from experiments.grid.jobs import Job, make_jobs
from experiments.grid.metric_check import check_metric
from experiments.grid.ranking import rank, table, write_csv
from experiments.grid.search_space import Sweep, find_sweep, read_sweep
from experiments.health.machine import usable_cores, visible_gpus

EPILOG = """\
Flags after `--` go to every run:   segdepth sweep shed_readings -- --config data/rooms --config profile/quick

A point that is finished is not run again, one that was interrupted goes on from its last checkpoint: give the same
command again, here or in another terminal or on another machine that sees the same folder. With W&B's server, the same
files are for `wandb sweep FILE` and `wandb agent ID`."""


def sweep(arguments: Sequence[str]) -> None:
    """Run the points of a sweep file, then print and write their figures.

    Raises:
        ConfigError: for a file or a flag that cannot be used, or a metric that a run would not have.
        SystemExit: with status 1 if a run failed.
        KeyboardInterrupt: after an interrupt has stopped the running points.
    """
    options, extra = _parse(arguments)
    described = read_sweep(find_sweep(options.file))
    jobs = make_jobs(described, described.points(options.count, options.seed), options.root, extra)
    check_metric(described, jobs)
    if options.dry_run:
        print_plan(jobs)
        return
    status = run_jobs(jobs, make_slots(options.devices, options.jobs))
    _print_results(described, jobs, status, options.root)
    exit_if_failed(jobs, status)


def run_jobs(jobs: Sequence[Job], slots: Sequence[Slot]) -> dict[Path, str]:
    """Run what is not finished, and say how it goes.

    Returns:
        State of each job, by its run folder.

    Raises:
        KeyboardInterrupt: after an interrupt has stopped the running jobs.
    """
    runner = GridRunner(jobs, slots, sweep_grid.PROGRAM, _say)
    try:
        with _signals_interrupt():
            runner.run()
    except KeyboardInterrupt:
        finished = sum(job.is_finished for job in jobs)
        _say(f"interrupted: {finished} of {len(jobs)} runs are finished; the same command goes on")
        raise
    return runner.status


def exit_if_failed(jobs: Sequence[Job], status: Mapping[Path, str]) -> None:
    """Name the jobs that failed.

    Raises:
        SystemExit: with status 1 if there are any.
    """
    failed = [job for job in jobs if status[job.folder] == FAILED]
    for job in failed:
        _say(f"failed: {job.title}: {job.log}")
    if failed:
        sys.exit(1)


def make_slots(devices: str = "auto", jobs: int | None = None) -> list[Slot]:
    """Room for processes: one per GPU, or one on the CPU, unless ``jobs`` says how many.

    Args:
        devices: number of GPUs to use, ``auto`` for all that are visible; 0 is the CPU.
        jobs: processes at a time; several share a GPU if there are more of them.

    Raises:
        ConfigError: for more GPUs than there are.
    """
    gpus = visible_gpus() if devices != "0" else []
    if devices != "auto":
        if not devices.isdigit() or int(devices) > len(gpus):
            raise ConfigError(
                f"`--devices {devices}`: need auto or a number up to {len(gpus)}, the GPUs that there are"
            )
        gpus = gpus[: int(devices)]
    jobs = jobs or len(gpus) or 1
    threads = max(1, usable_cores() // jobs)
    return [Slot(number, gpus[number % len(gpus)] if gpus else None, threads) for number in range(jobs)]


def jobs_at_a_time(devices: str, todo: int) -> int | None:
    """Runs at a time where nobody says: on a CPU one per core, which is faster than one on several cores."""
    if devices != "0" and visible_gpus():
        return None
    return max(1, min(todo, usable_cores()))


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    own, extra = split_flags(arguments)
    parser = grid_parser("segdepth sweep", "Run the points of a W&B sweep file on this machine.", EPILOG)
    parser.add_argument("file", metavar="FILE", help="sweep file, or the name of one in experiments/sweeps")
    parser.add_argument("--count", type=positive, help="most points to run (the file's run_cap, or all)")
    parser.add_argument("--seed", type=int, default=0, help="of a random search (0)")
    return parser.parse_args(own), extra


def split_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command's own arguments, and what follows ``--``: flags of its runs."""
    own = list(arguments)
    return (own[: own.index("--")], own[own.index("--") + 1 :]) if "--" in own else (own, [])


def grid_parser(prog: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Parser of the options that commands share which run several jobs; its errors are of the kind ConfigError."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        usage=f"{prog} FILE [options] [-- flags of `segdepth exp`]",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--root", type=Path, default=Path("runs"), help="folder of all runs (runs)")
    parser.add_argument("--devices", default="auto", help="GPUs to use, one per run (auto: all; 0: the CPU)")
    parser.add_argument("--jobs", type=positive, help="runs at a time (one per GPU, or one on the CPU)")
    parser.add_argument("--dry_run", action="store_true", help="print the runs and their commands")

    def refuse(message: str) -> NoReturn:
        raise ConfigError(f"{message}; `{prog} --help` lists the options, and flags for the runs follow a `--`")

    parser.error = refuse  # type: ignore[method-assign]
    return parser


def positive(text: str) -> int:
    """A positive number on a command line."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"need a positive number, got {text}")
    return int(text)


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Treat SIGTERM, as a cluster sends it, and SIGHUP, of a terminal that is closed, like Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    kept = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else []  # as `nohup` leaves it
    wanted = {signal.SIGTERM, signal.SIGHUP}.difference(kept)
    earlier = {number: signal.signal(number, interrupt) for number in wanted}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def print_plan(jobs: Sequence[Job]) -> None:
    """Print what would be run."""
    for number, job in enumerate(jobs, 1):
        state = "finished" if job.is_finished else "goes on" if job.has_begun else "new"
        print(f"[{number}/{len(jobs)}] {job.title}: {state}")
        print(f"    segdepth {shlex.join(job.command())}")


def _print_results(described: Sweep, jobs: Sequence[Job], status: Mapping[Path, str], root: Path) -> None:
    rows = rank(described, jobs, status)
    console = Console(markup=False)
    console.print(table(described, rows))
    path = root / described.name / "sweep.csv"
    write_csv(path, rows)
    console.print(f"  {os.path.relpath(path)}", highlight=False, soft_wrap=True)


def _say(line: str) -> None:
    print(line, flush=True)
