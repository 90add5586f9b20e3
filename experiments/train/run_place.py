"""Where a command's run lies: its name, its folder, its checkpoint and, of a test that differs, a folder of its own."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from experiments.config.compose import Composition
from experiments.config.run_settings import RunSettings
from experiments.results.changed_tests import changes, data_label, name_of
from experiments.results.run_files import read_json
from experiments.results.run_folder import (
    RUN_ENVIRONMENT,
    find_checkpoint,
    resume_checkpoint,
    take_folder,
    was_requeued,
)

#: What holds a folder until the command ends, and returns it.
Hold = Callable[[AbstractContextManager[Path]], Path]


def settle_run(config: Namespace, composition: Composition, command: str, hold: Hold) -> RunSettings:
    """Name the run and hold its folder, of which no two commands may write at once.

    Args:
        config: of the command; ``run`` and ``ckpt_path`` get what they stand for.
        composition: the merged configuration.
        command: ``exp``, ``fit``, ``validate``, ``test`` or ``predict``.
        hold: for the run's folder.

    Raises:
        ConfigError: if the checkpoint or the run is not there, or another command is at work in the folder.
    """
    run = RunSettings(**config.run.as_dict())
    run.experiment = run.experiment or composition.experiment
    if config.get("ckpt_path") in ("last", "best"):
        named = run.name or os.environ.get(RUN_ENVIRONMENT)
        found = find_checkpoint(Path(run.root), run.experiment, config.ckpt_path, named)
        config.ckpt_path = str(found)
        run.name = found.parent.parent.name  # whatever is done with a run's checkpoint belongs to the run
        os.environ[RUN_ENVIRONMENT] = run.name  # a process that looks later may find a newer one
    training = command in ("exp", "fit")
    data = data_label(config.data.as_dict())
    file = "" if training else " --ckpt_path FILE"
    fix = f"wait until it ends, or work in another folder: `--run.name NAME{file}`"
    run.name = hold(take_folder(run.folder.parent, run.name, data, composition.profile, fix)).name
    if training and (run.resume or was_requeued()) and not config.get("ckpt_path"):
        checkpoint = resume_checkpoint(run)
        config.ckpt_path = str(checkpoint) if checkpoint else config.get("ckpt_path")
    run.profile = _profile(run, composition)
    run.tags = list(dict.fromkeys([run.experiment, data, *filter(None, [run.profile]), *run.tags]))
    for key, value in vars(run).items():
        config.run[key] = value
    return run


def stand_beside(run: RunSettings, made_with: Mapping[str, Any]) -> None:
    """Give a test that differs from the run's own a folder of its own, and say so.

    Args:
        run: whose checkpoint is tested; gets the test's name.
        made_with: the test's configuration.
    """
    changed = changes(made_with, run.folder)
    if changed:
        run.test_name = run.test_name or name_of(changed)
        options = ", ".join(sorted(changed))
        rank_zero_info(
            f"this test differs from the run's own in {options}: its metrics stand beside those, in {run.place} "
            f"(`--run.test_name` names it, `segdepth compare --test {run.test_name}` shows it)"
        )


def _profile(run: RunSettings, composition: Composition) -> str:
    """Profile in force: named now, or when the run was made whose saved configuration this is; "" for none."""
    if composition.profile or run.profile is not None:
        return composition.profile or str(run.profile)
    if not composition.config.get("trainer", {}).get("default_root_dir"):
        return ""
    return str(read_json(run.folder / "environment.json").get("profile", "unknown"))  # of an older run
