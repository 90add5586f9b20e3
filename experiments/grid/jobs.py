"""One run of several: its command line, a run folder of a settled name, and how far it got."""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from experiments.config.arguments import take_flag
from experiments.config.compose import Composition, ConfigError, compose
from experiments.config.old_names import first_names
from experiments.grid.search_space import Point, Sweep, flags

#: Characters of a run's name that tell its parameters; the whole configuration is in the eight digits behind them.
LONGEST_NAME = 80


@dataclass(frozen=True)
class Job:
    """One run, such as a point of a sweep.

    Attributes:
        group: name of the sweep, or of the command that the run is made for; the run's tag.
        point: parameters in which it differs from the others of its group.
        experiment: name of the experiment.
        name: name of the run; the same for the same configuration, on every machine.
        arguments: arguments of `segdepth`, without the run's folder and name.
        folder: folder of the run.
        log: file that receives what the run prints.
        lock: file that is locked while the run is in progress.
    """

    group: str
    point: Point
    experiment: str
    name: str
    arguments: tuple[str, ...]
    folder: Path
    log: Path
    lock: Path

    @property
    def title(self) -> str:
        """Return experiment and run, as the run's folder has them."""
        return f"{self.experiment}/{self.name}"

    @property
    def is_finished(self) -> bool:
        """Return whether the run was trained and tested."""
        return (self.folder / "metrics.json").is_file()

    @property
    def has_begun(self) -> bool:
        """Return whether there is a checkpoint to resume from."""
        return any((self.folder / "checkpoints").glob("last*.ckpt"))

    def command(self) -> list[str]:
        """Return arguments of `segdepth` that start the run, or resume it."""
        where = ["--run.root", str(self.folder.parent.parent), "--run.name", self.name]
        return [*self.arguments, *where, f"--run.tags+={self.group}", "--run.resume=true"]


def make_jobs(sweep: Sweep, points: Sequence[Point], root: Path, extra: Sequence[str] = ()) -> list[Job]:
    """Return the jobs of a sweep's points.

    Args:
        sweep: the sweep; its parameter ``experiment``, if it has one, picks the first configuration.
        points: to be run.
        root: folder of all runs.
        extra: flags for every point; those of the point come after them.

    Raises:
        ConfigError: if a configuration cannot be composed.
    """
    composed = cache(compose)  # most points differ in flags only
    return [_point_job(sweep, point, root, extra, composed) for point in points]


def _point_job(
    sweep: Sweep, point: Point, root: Path, extra: Sequence[str], composed: Callable[[tuple[str, ...]], Composition]
) -> Job:
    others = {name: value for name, value in point.items() if name != "experiment"}
    first = ["--config", str(point["experiment"])] if "experiment" in point else []
    verb, *rest = sweep.command
    arguments = [verb, *first, *rest, *extra, *flags(others)]
    if not take_flag(arguments[1:], "--config", "-c")[0]:
        raise ConfigError(f"{sweep.path}: name an experiment, by `--config` in `command` or a parameter `experiment`")
    words = [f"{name.rpartition('.')[2]}-{value}" for name, value in others.items()]
    return make_job(sweep.name, point, words, arguments, root, composed)


def make_job(
    group: str,
    point: Point,
    words: Sequence[str],
    arguments: Sequence[str],
    root: Path,
    composed: Callable[[tuple[str, ...]], Composition] = compose,
) -> Job:
    """Return a job whose run is named after its configuration.

    Args:
        group: name of what the run is made for; its logs and locks lie in ``<root>/<group>``.
        point: what tells it from the others of its group.
        words: words of the run's name, before the digits that stand for the whole configuration.
        arguments: of `segdepth`, with one ``--config`` at least.
        root: folder of all runs.
        composed: merges configurations.

    Raises:
        ConfigError: if the configuration cannot be composed.
    """
    configs, overrides = take_flag(arguments[1:], "--config", "-c")
    composition = composed(tuple(configs))
    content = first_names(json.dumps([composition.config, overrides], sort_keys=True, default=str))
    if data_root := os.environ.get("DATA_ROOT"):  # another machine may keep the same data elsewhere
        content = content.replace(data_root, "DATA_ROOT")
    readable = "_".join(re.sub(r"[^A-Za-z0-9.]+", "-", word).strip("-") for word in words)[:LONGEST_NAME]
    name = "-".join(filter(None, [readable, hashlib.sha256(content.encode()).hexdigest()[:8]]))
    own = root / group
    return Job(
        group=group,
        point=point,
        experiment=composition.experiment,
        name=name,
        arguments=tuple(arguments),
        folder=root / composition.experiment / name,
        log=own / "logs" / f"{composition.experiment}-{name}.log",
        lock=own / "locks" / f"{composition.experiment}-{name}.lock",
    )


def try_lock(path: Path) -> int | None:
    """Lock a file, or return None at once if another process holds it.

    The lock belongs to the open file, so a child that inherits the descriptor keeps it when its parent is killed, and
    the system releases it with the last process that has it open. (`filelock` does not show its descriptor.)

    Returns:
        The descriptor, for :func:`unlock`.

    Raises:
        ConfigError: if the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(
            f"{path}: cannot be locked ({error.strerror}): put the runs elsewhere with `--runs_root`"
        ) from error
    return descriptor


def unlock(descriptor: int) -> None:
    """Release a lock, also for children that inherited it."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
