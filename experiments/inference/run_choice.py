"""The run that a user names: by its folder, by a checkpoint in it, or by its experiment."""

from pathlib import Path
from typing import Any

from callbacks.checkpoints.checkpoint_io import load_mapped
from experiments.config.error import ConfigError
from experiments.export.finished_model import FinishedModel, build_run, find_run
from experiments.results.run_files import read_json, read_yaml
from experiments.train.checkpoint_file import read_checkpoint


def open_trained(name: str, root: Path, which: str | None) -> tuple[FinishedModel, dict[str, Any]]:
    """Return a run's method and data, of which no file is opened, and its ``environment.json``.

    Args:
        name: folder of a run, a checkpoint in one, or an experiment.
        root: folder of all runs.
        which: ``best`` or ``last``; None takes the one that the run was tested with, if it is there.

    Raises:
        ConfigError: if there is no such run, or it cannot be used, in one line.
    """
    path = Path(name).expanduser()
    folder, checkpoint = run_of_checkpoint(path) if path.is_file() else choose_checkpoint(str(path), root, which)
    return build_run(folder, checkpoint), read_json(folder / "environment.json")


def name_weights(trained: FinishedModel) -> str:
    """Return what tells a run's weights from all others, wherever the run's folder lies."""
    step = load_mapped(trained.checkpoint).get("global_step", "unknown")
    return f"{trained.experiment}/{trained.run}, {trained.checkpoint.name}, step {step}"


def run_of_checkpoint(path: Path) -> tuple[Path, Path]:
    """Return the folder of the run that a checkpoint is of, and the checkpoint itself.

    Raises:
        ConfigError: if it is no checkpoint, or there is no configuration with it.
    """
    read_checkpoint(path)  # what it is comes before where it is
    for folder in (path.resolve().parent.parent, path.resolve().parent):
        if (folder / "config.yaml").is_file():
            return folder, path
    raise ConfigError(
        f"{path}: lies in no run's folder; put the run's config.yaml (and environment.json) beside it, or name the run"
    )


def choose_checkpoint(name: str, root: Path, which: str | None) -> tuple[Path, Path]:
    """Return folder and checkpoint of a run; of no checkpoint in particular, the one that it was tested with.

    Raises:
        ConfigError: if there is no such run or checkpoint.
    """
    if which is not None:
        return find_run(name, root, which)
    try:
        folder, best = find_run(name, root, "best")
    except ConfigError as error:
        try:
            return find_run(name, root, "last")  # a run that does not validate has no best one
        except ConfigError:
            raise error from None
    tested = (read_yaml(folder / "config.yaml").get("run") or {}).get("tested", "best")
    last = folder / "checkpoints" / "last.ckpt"
    return find_run(str(folder), root, "last") if tested == "last" and last.exists() else (folder, best)
