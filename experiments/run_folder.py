"""Where a run lives: ``runs/<experiment>/<run>/``."""

import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from experiments.compose import ConfigError

#: Set by the process that names the run, read by the processes it starts: one run, one folder.
RUN_ENVIRONMENT = "SEGDEPTH_RUN"


@dataclass
class RunSettings:
    """Where a run is written and how it is found again.

    Attributes:
        root: folder of all runs.
        experiment: name of the experiment; the first configuration file's by default.
        name: name of the run; time, data set and profile by default.
        tags: further tags for W&B.
    """

    root: str = "runs"
    experiment: str | None = None
    name: str | None = None
    tags: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The run's own folder."""
        return Path(self.root) / str(self.experiment) / str(self.name)


def name_run(data: str, profile: str) -> str:
    """``<time>-<data set>[-<profile>]``, the same on every process of a run.

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
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    name = "-".join(part for part in (stamp, data, profile) if part)
    os.environ[RUN_ENVIRONMENT] = name
    return name


def find_checkpoint(root: Path, experiment: str, which: str, run: str | None = None) -> Path:
    """Newest ``best.ckpt`` or ``last.ckpt`` of an experiment, or that of one of its runs.

    Raises:
        ConfigError: if there is none.
    """
    pattern = f"{run or '*'}/checkpoints/{which}.ckpt"
    found = sorted((root / experiment).glob(pattern), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ConfigError(
            f"no {root / experiment / pattern}: train first, or name a file (`--ckpt_path`) or a run (`--run.name`)"
        )
    return found[-1]
