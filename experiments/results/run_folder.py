"""Where a run lives: ``runs/<experiment>/<run>/``."""

import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_info

from callbacks.checkpoints.checkpoint_io import PREVIOUS, damage, previous
from experiments.config.error import ConfigError
from experiments.config.run_settings import RunSettings as RunSettings
from experiments.config.suggest import nearest
from experiments.results.folder_lock import work_in
from experiments.results.run_files import in_order

#: Set by the process that names the run, read by the processes it starts: one run, one folder.
RUN_ENVIRONMENT = "SEGDEPTH_RUN"


@contextmanager
def take_folder(experiment: Path, name: str | None, data: str, profile: str, fix: str) -> Iterator[Path]:
    """Hold the folder of a run, of which no two commands may write at once.

    A run without a name gets :func:`name_run`'s, with ``-2``, ``-3``, ... behind it where another has that one already.

    Args:
        experiment: folder of the experiment's runs.
        name: name of the run; None for a new one.
        data: for its name.
        profile: for its name.
        fix: what to do where another process is at work in the folder.

    Yields:
        The run's folder.

    Raises:
        ConfigError: if another process is at work there, or no folder can be made.
    """
    fresh = not name and not os.environ.get(RUN_ENVIRONMENT) and int(os.environ.get("WORLD_SIZE", "1")) == 1
    with work_in(experiment / (name or name_run(data, profile)), fix, fresh=fresh) as folder:
        if fresh:
            os.environ[RUN_ENVIRONMENT] = folder.name  # the other processes of this run are told
        yield folder


def name_run(data: str, profile: str) -> str:
    """Return ``<time>-<data set>[-<profile>]``, the same on every process of a run.

    Raises:
        ConfigError: if an outside launcher started several processes that cannot agree on a name.
    """
    if inherited := os.environ.get(RUN_ENVIRONMENT):
        return inherited
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        launch = os.environ.get("SLURM_JOB_ID") or os.environ.get("TORCHELASTIC_RUN_ID", "none")
        if launch == "none":
            raise ConfigError(
                "several processes, one run: name it with `--run.name NAME` (or `torchrun --rdzv-id NAME`)"
            )
        stamp = launch
    else:
        # agents of a W&B sweep start runs in the same second
        agent = os.environ.get("WANDB_RUN_ID", "") if os.environ.get("WANDB_SWEEP_ID") else ""
        stamp = "-".join(filter(None, (datetime.now().strftime("%Y%m%d-%H%M%S"), agent)))
    name = "-".join(part for part in (stamp, data, profile) if part)
    os.environ[RUN_ENVIRONMENT] = name
    return name


def find_checkpoint(root: Path, experiment: str, which: str, run: str | None = None) -> Path:
    """Return the newest ``best.ckpt`` or ``last.ckpt`` of an experiment, or that of one of its runs.

    A file that cannot be read is passed over, with a warning, for the one before it in the same run
    (``last-previous.ckpt``).

    Raises:
        ConfigError: if there is none, or none can be read.
    """
    pattern = f"{glob.escape(run) if run else '*'}/checkpoints/{which}.ckpt"
    files = [*(root / experiment).glob(pattern), *map(_replaced, (root / experiment).glob(_previous_of(pattern)))]
    if not files:
        names = [path.name for path in (root / experiment).glob("*") if path.is_dir()]
        near = f"; did you mean the run `{found[0]}`?" if run and (found := nearest(run, names)) else ""
        wanted = root / experiment / (run or "*") / "checkpoints" / f"{which}.ckpt"
        raise ConfigError(f"no {wanted}: train first, or name a file (`--ckpt_path`) or a run (`--run.name`){near}")
    newest = _newest(files)
    for path in (newest, previous(newest)):
        reason = damage(path) if path.exists() else "missing"
        if reason is None:
            return path
        if path == newest:
            first = f"{path} cannot be read ({reason})"
            rank_zero_info(f"{first}; looking for {previous(path).name}")
    other = "last" if which == "best" else "best"
    raise ConfigError(f"{first}, and there is none before it; take another one: `--ckpt_path {other}`")


def resume_checkpoint(run: RunSettings) -> Path | None:
    """Return the ``last.ckpt`` that `--run.resume` resumes from; None if the run has not begun.

    Raises:
        ConfigError: if there are checkpoints and none can be read.
    """
    last = run.folder / "checkpoints" / "last.ckpt"
    if not (last.exists() or previous(last).exists()):
        return None
    return find_checkpoint(Path(run.root), str(run.experiment), "last", run.name)


def was_requeued() -> bool:
    """Return whether SLURM or torchrun has started this job before."""
    return any(int(os.environ.get(key) or 0) > 0 for key in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"))


def _previous_of(pattern: str) -> str:
    return pattern.removesuffix(".ckpt") + f"{PREVIOUS}.ckpt"


def _replaced(path: Path) -> Path:
    """Return the checkpoint that replaced a ``*-previous.ckpt``."""
    return path.with_name(path.name.replace(f"{PREVIOUS}.", "."))


def _newest(files: Sequence[Path]) -> Path:
    """Return the checkpoint of the run that began last, as recorded: file times are those of copies, too."""
    by_run = {path.parents[1]: path for path in files}
    if len(by_run) == 1:
        return files[0]
    ordered = in_order(by_run, lambda folder: _age(by_run[folder]))
    return by_run[ordered[-1]] if ordered else max(files, key=_age)


def _age(path: Path) -> float:
    file = path if path.exists() else previous(path)
    return file.stat().st_mtime
