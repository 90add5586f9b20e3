"""`segdepth claims`: train the arms of a comparison alike, and judge a paper's claims by their metrics."""

import os
import shlex
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.config.arguments import take_flag
from experiments.config.command_line import RunFlags
from experiments.config.compose import ConfigError, compose
from experiments.grid.jobs import Job, make_job
from experiments.grid.machine_options import MachineOptions
from experiments.grid.sweep import exit_if_failed, jobs_at_a_time, make_slots, print_plan, run_jobs

if TYPE_CHECKING:
    from experiments.judging.claim import ClaimsSpec
    from experiments.judging.outcomes import ArmRun

#: Tag of the runs, and name of the folder of logs, locks and reports within the folder of all runs.
GROUP = "claims"

#: Arm and seed -> its run.
Jobs = dict[tuple[str, int], Job]


def claims(
    files: Sequence[str] = (),
    /,
    *,
    machine: MachineOptions,
    output: Path | None = None,
    list: bool = False,
    run_flags: RunFlags | None,
) -> None:
    """Train the arms of a claims file alike, with every seed, and judge its claims; or list claims.

    Args:
        files: claims file, or the name of one in experiments/claims.
        machine: what it may use.
        output: the report, <runs_root>/claims/<file>/report.md by default, with a plot beside it; or the list.
        list: list all claims, or those of some files, with what is known; run nothing.
        run_flags: flags of every run of every arm.

    Raises:
        ConfigError: for a file or a flag that cannot be used.
        SystemExit: with status 1 if a run failed.
        KeyboardInterrupt: after an interrupt has stopped the running jobs.
    """
    from experiments.comparison.run_records import RunRecord
    from experiments.judging.claims_file import find_claims, read_claims
    from experiments.judging.outcomes import ArmRun

    if list:
        _list(files, machine.runs_root, output, run_flags)
        return
    if len(files) != 1:
        raise ConfigError("name one claims file, or `--list` for those that there are")
    flags = run_flags or ()
    path = find_claims(files[0])
    spec = read_claims(path)
    made = claim_jobs(spec, machine.runs_root, flags)
    jobs = tuple(made.values())
    if machine.dry_run:
        print_plan(jobs)
        return
    todo = sum(not job.is_finished for job in jobs)
    slots = make_slots(machine.devices, machine.jobs or jobs_at_a_time(machine.devices, todo))
    status = run_jobs(jobs, slots)
    runs = [ArmRun(arm, seed, RunRecord(job.folder)) for (arm, seed), job in made.items()]
    report = output or machine.runs_root / GROUP / path.stem / "report.md"
    for written in write(report, spec, runs, shlex.join(["segdepth", "claims", path.stem, "--", *flags])):
        print(f"  {os.path.relpath(written)}")
    exit_if_failed(jobs, status)


def _list(files: Sequence[str], root: Path, output: Path | None, flags: RunFlags | None) -> None:
    """Print the list of claims, or write it into a file."""
    from datamodules.files import write_text_atomically
    from experiments.judging.claims_file import claim_files, read_claims
    from experiments.judging.listing import list_claims, list_markdown, print_list

    specs = {path.stem: read_claims(path) for path in claim_files(files)}
    listed = list_claims(specs, root, flags, claim_jobs)
    if output is None:
        print_list(listed, {file: spec.title for file, spec in specs.items()})
        return
    command = ["segdepth", "claims", "--list", *files, "--output", output.name]
    write_text_atomically(output, list_markdown(listed, specs, command))
    print(f"  {os.path.relpath(output)}")


def write(report: Path, spec: "ClaimsSpec", runs: "Sequence[ArmRun]", command: str) -> list[Path]:
    """Write the report and, where more than costs are compared, a plot beside it under the same name.

    Args:
        report: Markdown file to write.
        spec: the claims file.
        runs: runs of all arms and seeds.
        command: command that makes the same runs again.

    Returns:
        Paths of the files written.

    Raises:
        ConfigError: if a file of a run cannot be read.
    """
    from experiments.judging.outcomes import judge_claims
    from experiments.judging.report import interval_text, metric_name, write_report
    from experiments.judging.report_plot import write_figure

    outcomes = judge_claims(spec, runs)
    figure = report.with_suffix(".png") if spec.trained else None
    report.parent.mkdir(parents=True, exist_ok=True)
    if figure is not None:
        write_figure(figure, spec, runs, outcomes)
    write_report(report, spec, runs, outcomes, figure, command)
    for outcome in outcomes:
        difference = interval_text(outcome.interval)
        print(f"  {outcome.verdict:<15}{metric_name(outcome):<28}{difference:<32}{outcome.claim.text}")
    return [report] if figure is None else [report, figure]


def claim_jobs(spec: "ClaimsSpec", root: Path, extra: Sequence[str]) -> Jobs:
    """Return the runs of all arms that are trained: the same flags for all, then the arm's own, then the seed.

    An arm's configuration files come before those of all arms, as an experiment comes before a profile. All arms of a
    seed come first, so that what is interrupted leaves whole comparisons.

    Args:
        spec: arms and seeds.
        root: folder of all runs.
        extra: flags for every run.

    Raises:
        ConfigError: if a configuration cannot be composed, or two arms are one and the same.
    """
    composed = cache(compose)
    jobs: Jobs = {}
    for seed in spec.seeds:
        for arm in spec.trained:
            experiment, *own = spec.arm_words(arm)
            configs, flags = take_flag(own, "--config", "-c")
            first = [word for config in (experiment, *configs) for word in ("--config", config)]
            arguments = ["exp", *first, *extra, *flags, f"--seed_everything={seed}"]
            jobs[arm, seed] = make_job(GROUP, {"arm": arm, "seed": seed}, [f"seed-{seed}"], arguments, root, composed)
    folders = [job.folder for job in jobs.values()]
    if len(set(folders)) < len(folders):
        raise ConfigError(
            f"two arms have the same configuration: {'; '.join(spec.arms[arm][0] for arm in spec.trained)}"
        )
    return jobs
