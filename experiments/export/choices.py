"""Runs and frames that a command of `segdepth export` is asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class RunChoice:
    """Which finished runs, and where their results go.

    Attributes:
        runs_root: folder of all runs.
        checkpoint: whose weights.
        output: folder or file to write; in `export` of the first run's folder by default.
    """

    runs_root: Path = Path("runs")
    checkpoint: Literal["best", "last"] = "best"
    output: Path | None = None


@dataclass(frozen=True)
class FrameChoice:
    """Which test frames, and what predicts them.

    Attributes:
        frames: `index` of test frames, as in per_image.csv; 4 by default.
        accelerator: auto, cpu, gpu or mps.
    """

    frames: list[int] | None = None
    accelerator: str = "auto"
