"""The options `--run.*`: where a run is written, and how it is found again."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from experiments.config.folder_names import check_folder_name

#: Folder of further tests in a run's folder.
TESTS = "tests"


@dataclass
class RunSettings:
    """Where a run is written and how it is found again.

    Attributes:
        root: folder of all runs.
        experiment: name of the experiment; the first configuration file's by default.
        name: name of the run; time, data set and profile by default.
        tags: further tags for W&B.
        monitor: validation metric of which best.ckpt has the lowest, for example ``val/loss_depth``; None leaves
            BestCheckpoint's own, ``val/abs_rel`` unless it is configured otherwise.
        resume: resume the run of this name where it stopped, or start it if there is none; the very same command then
            starts a run and resumes it. Implied where SLURM or torchrun has started the job again.
        wait_minutes: how long processes of a run wait for each other before it ends; a `timeout` of the configured
            strategy counts instead.
        tested: what `exp` tests after training: the ``best`` checkpoint, or the weights of the ``last`` step.
        test_name: of a `test` that is to stand beside the run's own, in ``tests/<name>`` of its folder; by default one
            that differs from it is named after what differs.
        profile: in force; saved with the run, never set by hand.

    Raises:
        ConfigError: for a name that cannot be a folder's.
    """

    root: str = "runs"
    experiment: str | None = None
    name: str | None = None
    tags: list[str] = field(default_factory=list)
    monitor: str | None = None
    resume: bool = False
    tested: Literal["best", "last"] = "best"
    wait_minutes: float = 10.0
    test_name: str | None = None
    profile: str | None = None

    def __post_init__(self) -> None:
        check_folder_name("--run.experiment", self.experiment)
        check_folder_name("--run.name", self.name)
        check_folder_name("--run.test_name", self.test_name)

    @property
    def folder(self) -> Path:
        """Return the run's own folder."""
        return Path(self.root) / str(self.experiment) / str(self.name)

    @property
    def place(self) -> Path:
        """Return where metrics and pictures go: the run's own folder, or that of a further test of it."""
        return self.folder / TESTS / self.test_name if self.test_name else self.folder
