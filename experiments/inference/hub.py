"""`segdepth export hub`: a run's model as a folder to share."""

from pathlib import Path
from typing import Literal


def hub(
    run: str,
    /,
    *,
    output: Path | None = None,
    checkpoint: Literal["best", "last"] | None = None,
    runs_root: Path = Path("runs"),
) -> None:
    """Write a finished run's model as a folder for huggingface_hub: safetensors, configuration and model card.

    Args:
        run: folder of a run, a checkpoint in one, or an experiment: its newest run.
        output: folder to write, which is not there yet; `export/hub` in the run's folder by default.
        checkpoint: whose weights, best or last; by default that which the run was tested with.
        runs_root: folder of all runs.

    Raises:
        ConfigError: if there is no such run, or the folder is there.
    """
    from experiments.inference.release import write_release  # loads torch, which help does without

    write_release(run, output, checkpoint, runs_root)
