"""`segdepth sweep`: a W&B sweep file without W&B."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse.typing import PositiveInt

from experiments.config.command_line import RunFlags
from experiments.config.error import ConfigError
from experiments.grid.machine_options import MachineOptions

if TYPE_CHECKING:
    from experiments.grid.grid_runner import Slot
    from experiments.grid.jobs import Job
    from experiments.grid.search_space import Sweep


def sweep(
    file: str,
    /,
    *,
    machine: MachineOptions,
    count: PositiveInt | None = None,
    seed: int = 0,
    run_flags: RunFlags,
) -> None:
    """Run the points of a W&B sweep file on this machine, then print and write their metrics.

    Args:
        file: sweep file, or the name of one in experiments/sweeps.
        machine: what it may use.
        count: most points to run; the file's run_cap by default, or all.
        seed: seed of a random search.
        run_flags: flags of every run.

    Raises:
        ConfigError: for a file or a flag that cannot be used, or a metric that a run would not have.
        SystemExit: with status 1 if a run failed.
        KeyboardInterrupt: after an interrupt has stopped the running points.
    """
    from experiments.grid.jobs import make_jobs
    from experiments.grid.metric_check import check_metric
    from experiments.grid.search_space import find_sweep, read_sweep

    described = read_sweep(find_sweep(file))
    jobs = make_jobs(described, described.points(count, seed), machine.runs_root, run_flags)
    check_metric(described, jobs)
    if machine.dry_run:
        print_plan(jobs)
        return
    status = run_jobs(jobs, make_slots(machine.devices, machine.jobs))
    _print_results(described, jobs, status, machine.runs_root)
    exit_if_failed(jobs, status)


def run_jobs(jobs: "Sequence[Job]", slots: "Sequence[Slot]") -> dict[Path, str]:
    """Run the jobs that are not finished, and report their progress.

    Returns:
        State of each job, by its run folder.

    Raises:
        KeyboardInterrupt: after an interrupt has stopped the running jobs.
    """
    from experiments.grid import grid_runner

    runner = grid_runner.GridRunner(jobs, slots, grid_runner.PROGRAM, _say)
    try:
        with _signals_interrupt():
            runner.run()
    except KeyboardInterrupt:
        finished = sum(job.is_finished for job in jobs)
        _say(f"interrupted: {finished} of {len(jobs)} runs are finished; the same command resumes the others")
        raise
    return runner.status


def exit_if_failed(jobs: "Sequence[Job]", status: Mapping[Path, str]) -> None:
    """Exit with an error that names the failed jobs, if there are any.

    Raises:
        SystemExit: with status 1 if there are any.
    """
    from experiments.grid.grid_runner import FAILED

    failed = [job for job in jobs if status[job.folder] == FAILED]
    for job in failed:
        _say(f"failed: {job.title}: {job.log}")
    if failed:
        sys.exit(1)


def make_slots(devices: str = "auto", jobs: int | None = None) -> "list[Slot]":
    """Return room for processes: one per GPU, or one on the CPU, unless ``jobs`` says how many.

    Args:
        devices: number of GPUs to use, ``auto`` for all that are visible; 0 is the CPU.
        jobs: processes at a time; several share a GPU if there are more of them.

    Raises:
        ConfigError: for more GPUs than there are.
    """
    from experiments.grid.grid_runner import Slot
    from experiments.health.machine import usable_cores, visible_gpus

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
    """Return the default number of runs at a time: on a CPU one per core, which beats one run on several cores."""
    from experiments.health.machine import usable_cores, visible_gpus

    if devices != "0" and visible_gpus():
        return None
    return max(1, min(todo, usable_cores()))


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


def print_plan(jobs: "Sequence[Job]") -> None:
    """Print what would be run."""
    for number, job in enumerate(jobs, 1):
        state = "finished" if job.is_finished else "resumed" if job.has_begun else "new"
        print(f"[{number}/{len(jobs)}] {job.title}: {state}")
        print(f"    segdepth {shlex.join(job.command())}")


def _print_results(described: "Sweep", jobs: "Sequence[Job]", status: Mapping[Path, str], root: Path) -> None:
    from rich.console import Console

    from experiments.grid.ranking import rank, table, write_csv

    rows = rank(described, jobs, status)
    console = Console(markup=False)
    console.print(table(described, rows))
    path = root / described.name / "sweep.csv"
    write_csv(path, rows)
    console.print(f"  {os.path.relpath(path)}", highlight=False, soft_wrap=True)


def _say(line: str) -> None:
    print(line, flush=True)
