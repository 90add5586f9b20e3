"""`segdepth claims`: train the arms of a comparison alike, and hold a paper's claims against their figures."""

import argparse
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from experiments.claims_spec import ClaimsSpec, find_claims, read_claims
from experiments.command_line import take_flag
from experiments.compose import ConfigError, compose
from experiments.machine import usable_cores, visible_gpus
from experiments.sweep_command import exit_if_failed, grid_parser, make_slots, print_plan, run_jobs, split_flags
from experiments.sweep_jobs import Job, make_job

#: Tags the runs, and holds logs, locks and reports below the folder of all runs.
GROUP = "claims"

EPILOG = """\
Flags after `--` go to every run of every arm:   segdepth claims shed -- --config data/rooms --config profile/claims

A run that is finished is not made again, also if another claims file made it; one that was interrupted goes on."""

#: Arm and seed -> its run.
Jobs = dict[tuple[str, int], Job]


def claims(arguments: Sequence[str]) -> None:
    """Run every arm with every seed, then write the report.

    Raises:
        ConfigError: for a file or a flag that cannot be used.
        SystemExit: with status 1 if a run failed.
        KeyboardInterrupt: after an interrupt has stopped the running jobs.
    """
    options, extra = _parse(arguments)
    path = find_claims(options.file)
    spec = read_claims(path)
    jobs = claim_jobs(spec, options.root, extra)
    if options.dry_run:
        print_plan(list(jobs.values()))
        return
    todo = sum(not job.is_finished for job in jobs.values())
    status = run_jobs(list(jobs.values()), make_slots(options.devices, options.jobs or _jobs(options.devices, todo)))
    exit_if_failed(list(jobs.values()), status)


def claim_jobs(spec: ClaimsSpec, root: Path, extra: Sequence[str]) -> Jobs:
    """The runs of all arms: the same flags for all, then the arm's own, then the seed.

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
        for arm in spec.arms:
            experiment, *own = spec.arm_words(arm)
            configs, flags = take_flag(own, "--config", "-c")
            first = [word for config in (experiment, *configs) for word in ("--config", config)]
            arguments = ["exp", *first, *extra, *flags, f"--seed_everything={seed}"]
            jobs[arm, seed] = make_job(GROUP, {"arm": arm, "seed": seed}, [f"seed-{seed}"], arguments, root, composed)
    folders = [job.folder for job in jobs.values()]
    if len(set(folders)) < len(folders):
        raise ConfigError(f"two arms have the same configuration: {'; '.join(spec.arms.values())}")
    return jobs


def _jobs(devices: str, todo: int) -> int | None:
    """Runs at a time where nobody says: on a CPU one per core, which is faster than one on several cores."""
    if devices != "0" and visible_gpus():
        return None
    return max(1, min(todo, usable_cores()))


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    own, extra = split_flags(arguments)
    parser = grid_parser("segdepth claims", "Train the arms of a claims file alike, and judge its claims.", EPILOG)
    parser.add_argument("file", metavar="FILE", help="claims file, or the name of one in experiments/claims")
    parser.add_argument(
        "--output", type=Path, help="the report (<root>/claims/<file>/report.md); its figure lies beside"
    )
    return parser.parse_args(own), extra
