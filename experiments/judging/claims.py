"""`segdepth claims`: train the arms of a comparison alike, and hold a paper's claims against their figures."""

import argparse
import os
import shlex
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from datamodules.files import write_text_atomically
from experiments.comparison.run_records import RunRecord
from experiments.config.arguments import take_flag
from experiments.config.compose import ConfigError, compose
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
from experiments.judging.claim import ClaimsSpec
from experiments.judging.claims_file import claim_files, find_claims, read_claims
from experiments.judging.listing import list_claims, list_markdown, print_list
from experiments.judging.number_format import interval_text
from experiments.judging.outcomes import ArmRun, judge_claims
from experiments.judging.report import figure_name, write_report
from experiments.judging.report_plot import write_figure

#: Tags the runs, and holds logs, locks and reports below the folder of all runs.
GROUP = "claims"

EPILOG = """\
Flags after `--` go to every run of every arm:   segdepth claims shed -- --config data/rooms --config profile/claims
`segdepth claims --list` shows every claim, what the paper's own tables say of it, and what finished runs say.

A run that is finished is not made again, also if another claims file made it; one that was interrupted goes on."""

#: Arm and seed -> its run.
Jobs = dict[tuple[str, int], Job]


def claims(arguments: Sequence[str]) -> None:
    """Run every arm with every seed, then write the report; or list claims.

    Raises:
        ConfigError: for a file or a flag that cannot be used.
        SystemExit: with status 1 if a run failed.
        KeyboardInterrupt: after an interrupt has stopped the running jobs.
    """
    options, extra = _parse(arguments)
    if options.list:
        _list(options, extra if "--" in arguments else None)
        return
    if len(options.files) != 1:
        raise ConfigError("name one claims file, or `--list` for those that there are")
    path = find_claims(options.files[0])
    spec = read_claims(path)
    jobs = claim_jobs(spec, options.root, extra)
    if options.dry_run:
        print_plan(list(jobs.values()))
        return
    todo = sum(not job.is_finished for job in jobs.values())
    slots = make_slots(options.devices, options.jobs or jobs_at_a_time(options.devices, todo))
    status = run_jobs(list(jobs.values()), slots)
    runs = [ArmRun(arm, seed, RunRecord(job.folder)) for (arm, seed), job in jobs.items()]
    report = options.output or options.root / GROUP / path.stem / "report.md"
    for written in write(report, spec, runs, shlex.join(["segdepth", "claims", path.stem, "--", *extra])):
        print(f"  {os.path.relpath(written)}")
    exit_if_failed(list(jobs.values()), status)


def _list(options: argparse.Namespace, extra: Sequence[str] | None) -> None:
    """Print the list of claims, or write it into a file."""
    specs = {path.stem: read_claims(path) for path in claim_files(options.files)}
    listed = list_claims(specs, options.root, extra, claim_jobs)
    if options.output is None:
        print_list(listed, {file: spec.title for file, spec in specs.items()})
        return
    command = ["segdepth", "claims", "--list", *options.files, "--output", options.output.name]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(options.output, list_markdown(listed, specs, command))
    print(f"  {os.path.relpath(options.output)}")


def write(report: Path, spec: ClaimsSpec, runs: Sequence[ArmRun], command: str) -> list[Path]:
    """Write the report and its figure, a picture of the same name, where more than costs are compared.

    Args:
        report: its path.
        spec: the claims file.
        runs: of all arms and seeds.
        command: that makes the same runs again.

    Returns:
        The paths.

    Raises:
        ConfigError: if a file of a run cannot be read.
    """
    outcomes = judge_claims(spec, runs)
    figure = report.with_suffix(".png") if spec.trained else None
    report.parent.mkdir(parents=True, exist_ok=True)
    if figure is not None:
        write_figure(figure, spec, runs, outcomes)
    write_report(report, spec, runs, outcomes, figure, command)
    for outcome in outcomes:
        difference = interval_text(outcome.interval)
        print(f"  {outcome.verdict:<15}{figure_name(outcome):<28}{difference:<32}{outcome.claim.text}")
    return [report] if figure is None else [report, figure]


def claim_jobs(spec: ClaimsSpec, root: Path, extra: Sequence[str]) -> Jobs:
    """The runs of all arms that are trained: the same flags for all, then the arm's own, then the seed.

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


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    own, extra = split_flags(arguments)
    parser = grid_parser("segdepth claims", "Train the arms of a claims file alike, and judge its claims.", EPILOG)
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="claims file, or the name of one in experiments/claims"
    )
    parser.add_argument(
        "--output", type=Path, help="the report (<root>/claims/<file>/report.md); its figure lies beside. Or the list"
    )
    parser.add_argument(
        "--list", action="store_true", help="list all claims, or those of some files, with what is known; run nothing"
    )
    return parser.parse_args(own), extra
