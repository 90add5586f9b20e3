"""Options of commands that start several runs: where these lie, and how many run at a time."""

from dataclasses import dataclass
from pathlib import Path

from jsonargparse.typing import PositiveInt


@dataclass(frozen=True)
class MachineOptions:
    """How much of the machine a command may use.

    Attributes:
        runs_root: folder of all runs.
        devices: GPUs to use, one per run; auto is all, 0 is the CPU.
        jobs: runs at a time; one per GPU by default, on the CPU what the command finds best.
        dry_run: print the runs and their commands, and start none.
    """

    runs_root: Path = Path("runs")
    devices: str = "auto"
    jobs: PositiveInt | None = None
    dry_run: bool = False
