"""Weights & Biases, online with a key and offline without one."""

import os
from pathlib import Path

import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only


class RunLogger(WandbLogger):
    """W&B logger of one run; a run without a key, or with ``WANDB_MODE=offline``, is kept on disk for a later sync.

    Args:
        project: W&B project.
        save_dir: the run's folder; W&B writes into ``<save_dir>/wandb``.
        name: name of the run.
        group: what it is grouped under; the experiment.
        job_type: what it does: the subcommand.
        tags: method, data set, profile.
    """

    def __init__(
        self,
        project: str = "segdepth",
        save_dir: str = ".",
        name: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: list[str] | None = None,
    ):
        os.environ.setdefault("WANDB_SILENT", "true")  # RunSummary says where the run is
        offline = os.environ.get("WANDB_MODE", "online") != "online" or not wandb.login(prompt=False, verify=False)
        settings = wandb.Settings(console="off")
        super().__init__(
            name=name, save_dir=save_dir, offline=offline, project=project, settings=settings,
            group=group, job_type=job_type, tags=tags, mode="offline" if offline else "online",
        )  # fmt: skip

    def sync_hint(self) -> str:
        """One line saying where the run is on W&B, or how to send it there."""
        if not self._offline:
            return f"W&B: {self.experiment.url}"
        folder = Path(self.experiment.settings.sync_dir)
        return f"W&B offline: wandb sync {os.path.relpath(folder)}"

    @rank_zero_only
    def define_best(self, metric: str, mode: str) -> None:
        """Keep the best value of a metric in W&B's run summary, not the last one."""
        self.experiment.define_metric(metric, summary=mode)
