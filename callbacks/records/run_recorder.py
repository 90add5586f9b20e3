"""The record of a run: resolved configuration and environment, written before the first batch."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from callbacks.lightning_internals import datamodule_of
from datamodules.files import write_text_atomically


def git_state(folder: Path) -> dict[str, Any]:
    """Return the commit of the checkout that holds a folder, and whether tracked files differ; empty outside git."""
    try:
        commit, status = (
            subprocess.run(
                ["git", "-C", str(folder), *command], capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"commit": commit, "dirty": bool(status)}


def put_away(folder: Path) -> None:
    """Move the results of an earlier training in a run folder into ``earlier/<when they were written>``.

    They would stand beside weights, and a seed, that they are not of.
    """
    left = [folder / "metrics.json", folder / "per_image.csv", *folder.glob("*-test-*"), folder / "tests"]
    left = [path for path in left if path.exists()]
    if not left:
        return
    records = [folder / name for name in ("config.yaml", "environment.json")]
    stamp = datetime.fromtimestamp(left[0].stat().st_mtime, UTC).strftime("%Y%m%d-%H%M%S")
    place = folder / "earlier" / stamp
    place.mkdir(parents=True, exist_ok=True)
    for path in (*left, *(record for record in records if record.exists())):
        path.replace(place / path.name)
    rank_zero_info(f"{folder}: the results of the run that was here are kept in {place}")


class RunRecorder(SaveConfigCallback):
    """Write ``config.yaml`` and ``environment.json`` into the run folder and send both to the logger.

    Args:
        parser: that parsed the configuration.
        config: the configuration.
        versions: returns the versions of packages, by name.
    """

    def __init__(
        self,
        parser: LightningArgumentParser,
        config: Namespace,
        versions: Callable[[], dict[str, str]] = dict,
    ):
        super().__init__(parser, config, save_to_log_dir=False)
        self.versions = versions

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write both files; runs once, on global rank zero, after the data are set up.

        A later command in the folder of a trained run writes its own pair, named after its stage and data set.
        """
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        suffix = ""
        if stage == "fit" and getattr(trainer, "ckpt_path", None) is None:
            put_away(folder)
        if (folder / "config.yaml").exists() and stage != "fit":
            suffix = f"-{TrainerFn(stage).value}-{datamodule_of(trainer).name}"
        config = self.parser.dump(self.config, skip_none=False)
        write_text_atomically(folder / f"config{suffix}.yaml", config)
        environment = self.environment(trainer, pl_module)
        write_text_atomically(folder / f"environment{suffix}.json", json.dumps(environment, indent=2))
        if isinstance(trainer.logger, Logger):
            plain = {key: value for key, value in self.config.as_dict().items() if key != "config"}
            record = {**plain, "environment": environment}
            # what was trained stays on top; a later command in the run's folder is recorded below its own name
            trainer.logger.log_hyperparams({suffix.removeprefix("-"): record} if suffix else record)

    def environment(self, trainer: Trainer, pl_module: Any) -> dict[str, Any]:
        """Return versions, commit, hardware, data and size of the model, as plain JSON."""
        datamodule = datamodule_of(trainer)
        return {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "profile": (self.config.get("run") or {}).get("profile") or "",
            "seed": self.config.get("seed_everything"),
            **git_state(Path(__file__).parent),
            "python": platform.python_version(),
            "packages": self.versions(),
            "hardware": {
                "machine": platform.machine(),
                "cpus": os.cpu_count(),
                "threads": torch.get_num_threads(),
                "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
                "processes": trainer.world_size,
                "precision": str(trainer.precision),
            },
            "data": getattr(datamodule, "describe", dict)(),
            "data_fingerprint": getattr(datamodule, "fingerprint", None),
            "training_camera": getattr(datamodule, "training_camera", lambda: None)(),
            "method": type(pl_module).__name__,
            **pl_module.facts,
            "parameters": {
                name: sum(p.numel() for p in part.parameters()) for name, part in pl_module.network.named_children()
            },
        }
