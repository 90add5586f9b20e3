"""Weights & Biases: one run per training, online with a key and offline without one.

**One run.** The first command that works in a run folder makes a W&B run, and keeps its id in ``wandb/run.json``. Every
later one there (`fit --ckpt_path last`, `test`, `predict`) resumes the same run, under the same name, group and job
type. With several processes only global rank zero logs. The axis of all metrics is `trainer/global_step`, which a
resumed training takes from its checkpoint; a later test stands at the last step of the training. W&B's own counter of
rows continues after the last row that was written, and the best values in the summary are those of the whole training.
After a kill, the steps since the last checkpoint are trained again and stand there twice, with equal values.

**Offline.** Each command leaves a part of its own, ``wandb/offline-run-<time>-<id>``. To send all of them, in the order
in which they were made, type once, whenever there is a network::

    wandb login
    wandb sync runs/<experiment>/<run>/wandb

Parts that were sent before are skipped; W&B adds each further one to the run. To look at them without a network:
``wandb leet runs/<experiment>/<run>/wandb``.

**Nothing here stops a run.** Without a network at the start, the run is kept offline after ``WANDB_INIT_TIMEOUT``
seconds (30); at the end, W&B waits no longer than ``WANDB_FINISH_TIMEOUT`` seconds (120), and what was not sent by then
is sent by ``wandb sync --include-online``. Any other error, such as that of a full disk, is told once, and nothing more
is logged; what the run writes into its folder does not depend on it.
"""

import functools
import json
import math
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import wandb
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers.logger import DummyExperiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only, rank_zero_warn

from callbacks.records.this_run import ThisRun
from callbacks.wandb_internals import OpenWandbLogger
from datamodules.files import write_text_atomically
from lightning_modules.metrics import describe

#: The metric that W&B draws all others over.
STEP = "trainer/global_step"

#: Characters of the longest tag that W&B takes.
MAX_TAG = 64

#: Bytes of ``wandb/progress.json``, filled with blanks.
PROGRESS_BYTES = 4096

P = ParamSpec("P")
T = TypeVar("T")


def never_fatal(
    method: Callable[Concatenate["RunLogger", P], T],
) -> Callable[Concatenate["RunLogger", P], T | None]:
    """Wrap a method of the logger so that whatever it raises ends the logging, not the run."""

    @functools.wraps(method)
    def guarded(self: "RunLogger", *args: P.args, **kwargs: P.kwargs) -> T | None:
        if self.failed:
            return None
        try:
            return method(self, *args, **kwargs)
        except Exception as error:  # W&B raises errors of its own, of the system, and of what it is built on
            self.give_up(error)
            return None

    return guarded


class RunLogger(OpenWandbLogger):
    """W&B logger of one run; a run without a key, or with ``WANDB_MODE=offline``, is kept on disk for a later sync.

    With ``WANDB_MODE=disabled`` nothing is logged or written. ``WANDB_ENTITY`` names the user or team. The module's
    docstring says how a run is resumed and sent.

    Args:
        project: W&B project; ``WANDB_PROJECT``, else ``segdepth``, by default.
        save_dir: the run's folder; W&B writes into ``<save_dir>/wandb``.
        name: name of the run.
        group: what W&B groups it under: paper and tables.
        job_type: the subcommand.
        tags: such as experiment, method, data set, profile, paper and tables.
        upload_best: send ``checkpoints/best.ckpt`` after training, as artifact ``model-<id>`` with the alias ``best``.
        this_run: the run, as the command line tells it; it goes before folder, name, group, job type and tags.
    """

    def __init__(
        self,
        project: str | None = None,
        save_dir: str = ".",
        name: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: list[str] | None = None,
        upload_best: bool = False,
        this_run: ThisRun | None = None,
    ):
        if this_run is not None:
            save_dir, name, group = str(this_run.place), this_run.name, this_run.group
            job_type, tags = this_run.command, list(this_run.tags)
        os.environ.setdefault("WANDB_SILENT", "true")  # RunSummary says where the run is
        self.disabled = os.environ.get("WANDB_MODE") == "disabled"
        self.failed = self.disabled
        self.folder = Path(save_dir) / "wandb"
        self.upload_best = upload_best
        self._defined: dict[str, str] = {}
        self._best: dict[str, float] = {}
        self._saved_checkpoint = False
        self._rows, self._first_of_part = 0, False
        self._last_step = 0
        self._trains = job_type in (None, "exp", "fit")
        offline = not self._online()
        settings = wandb.Settings(
            console="off",
            init_timeout=float(os.environ.get("WANDB_INIT_TIMEOUT", 30)),
            finish_timeout=float(os.environ.get("WANDB_FINISH_TIMEOUT", 120)),
        )
        super().__init__(
            name=name, save_dir=save_dir, offline=offline, settings=settings, group=group, job_type=job_type,
            entity=os.environ.get("WANDB_ENTITY"),
            project=project or os.environ.get("WANDB_PROJECT", "segdepth"), tags=[tag[:MAX_TAG] for tag in tags or []],
        )  # fmt: skip

    @staticmethod
    def _online() -> bool:
        if os.environ.get("WANDB_MODE", "online") != "online":
            return False
        try:
            return bool(wandb.login(prompt=False, verify=False))
        except Exception as error:  # a key that is none, or a home folder that cannot be read
            rank_zero_warn(f"W&B: {one_line(error)}; the run is kept offline")
            return False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Return W&B's run, opened on first use; once logging has failed, a stand-in that keeps nothing."""
        if self.failed:
            return DummyExperiment()
        if self.opened is None:
            try:
                self._open()
            except Exception as error:
                if self.offline:
                    self.give_up(error)
                    return DummyExperiment()
                rank_zero_warn(
                    f"W&B: {one_line(error)}; the run is kept offline, `{self._sync_command()}` sends it later"
                )
                wandb.teardown()
                self.go_offline()
                return self.experiment
        return self.opened

    def _open(self) -> None:
        """Open the folder's run, a new or an earlier one."""
        known, progress, init = self._read("run.json"), self._read("progress.json"), self.init_arguments
        self._last_step, self._best = progress.get("step", 0), progress.get("best", {})
        # a sweep's agent names its runs by WANDB_RUN_ID
        run_id = known.get("id") or os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
        init["job_type"] = known.get("job_type") or init["job_type"]
        init["tags"] = list(dict.fromkeys([*known.get("tags", []), *init["tags"]]))
        # before W&B starts: a run that is killed meanwhile is resumed as well, and where nothing can be written, this
        # raises, while W&B would write elsewhere without a word
        identity = {"id": run_id, "job_type": init["job_type"], "tags": init["tags"]}
        write_text_atomically(self.folder / "run.json", json.dumps(identity))
        run = self.open_run(run_id)
        for axis in ("epoch", "train/*", "val/*", "test/*"):
            run.define_metric(axis, step_metric=STEP)
        rows, known_to_wandb = progress.get("rows", 0), run.step
        self._rows, self._first_of_part = max(rows, known_to_wandb), rows > known_to_wandb

    def give_up(self, error: Exception) -> None:
        """End the logging because of an error, and say so once."""
        if self.failed:
            return
        self.failed = True
        rank_zero_warn(
            f"W&B: {one_line(error)}; from here on it gets no metrics and pictures of this run; `history.jsonl`, "
            f"`metrics.json` and `panels/` in {os.path.relpath(self.folder.parent)} do not depend on it"
        )

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return dict(json.loads((self.folder / name).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return {}

    def _write_progress(self) -> None:
        """Write how far the run is, after each row: in place, as replacing a file takes milliseconds on a busy disk."""
        progress = json.dumps({"rows": self._rows, "step": self._last_step, "best": self._best})
        file = os.open(self.folder / "progress.json", os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(file, progress.encode().ljust(PROGRESS_BYTES), 0)  # blanks cover what a longer one has left
        finally:
            os.close(file)

    @rank_zero_only
    @never_fatal
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log a row; the best value of every validation metric goes to the run's summary."""
        run = self.experiment
        if self.failed:
            return
        self._define(metrics)
        if not self._trains:  # a trainer that only tests counts from 0; its metrics belong to the end of the training
            step = max(step or 0, self._last_step)
        row = dict(metrics) if step is None else {**metrics, STEP: step}
        self._last_step = self._last_step if step is None else step
        if self._first_of_part:  # the rows after it follow by themselves
            run.log(row, step=self._rows, commit=True)
            self._first_of_part = False
        else:
            run.log(row)
        self._rows += 1  # counted here: to ask W&B takes longer than to log
        self._keep_best(metrics)
        self._write_progress()

    def _define(self, names: Iterable[str]) -> None:
        for name in names:
            higher = describe(name).higher_is_better
            if name not in self._defined and name.startswith("val/") and higher is not None:
                self._define_best(name, "max" if higher else "min")

    def _define_best(self, metric: str, mode: str) -> None:
        self.experiment.define_metric(metric, step_metric=STEP, summary=f"{mode},last")
        self._defined[metric] = mode

    def _keep_best(self, metrics: Mapping[str, Any]) -> None:
        """Keep the best of all parts of the run: W&B only knows the part that it is writing."""
        for name in self._defined.keys() & metrics.keys():
            value, mode = float(metrics[name]), self._defined[name]
            if not math.isfinite(value):
                continue
            best = self._best.get(name, value)
            self._best[name] = min(best, value) if mode == "min" else max(best, value)
            self.experiment.summary[name] = {mode: self._best[name], "last": value}

    @rank_zero_only
    @never_fatal
    def define_best(self, metric: str, mode: str) -> None:
        """Keep the best value of a metric in W&B's run summary, beside the last one.

        Args:
            metric: name of the logged metric.
            mode: ``min`` or ``max``.
        """
        self._define_best(metric, mode)

    @rank_zero_only
    @never_fatal
    def log_hyperparams(self, params: Any) -> None:
        """Add to W&B's configuration."""
        super().log_hyperparams(params)

    @rank_zero_only
    @never_fatal
    def log_table(self, *args: Any, **kwargs: Any) -> None:
        """Log a table; see :meth:`WandbLogger.log_table`."""
        super().log_table(*args, **kwargs)

    @rank_zero_only
    @never_fatal
    def log_image(self, *args: Any, **kwargs: Any) -> None:
        """Log pictures; see :meth:`WandbLogger.log_image`."""
        super().log_image(*args, **kwargs)

    def add_tags(self, tags: Iterable[str]) -> None:
        """Add tags to those of the run, before it is opened."""
        own = self.init_arguments.get("tags") or []
        self.init_arguments["tags"] = list(dict.fromkeys([*own, *(tag[:MAX_TAG] for tag in tags)]))

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Note that this command trains."""
        self._saved_checkpoint = True

    @rank_zero_only
    @never_fatal
    def finalize(self, status: str) -> None:
        """Send the best checkpoint of a training to W&B if ``upload_best``."""
        best = self.folder.parent / "checkpoints" / "best.ckpt"
        if not (self.upload_best and self._saved_checkpoint and status == "success" and best.is_file()):
            return
        self._saved_checkpoint = False
        artifact = wandb.Artifact(f"model-{self.experiment.id}", type="model")
        artifact.add_file(str(best))
        self.experiment.log_artifact(artifact, aliases=["best"])

    def _sync_command(self) -> str:
        return f"wandb sync {os.path.relpath(self.folder)}"

    def sync_hint(self) -> str:
        """Return one line on where the run is on W&B, or how to send all its parts there, in order."""
        if self.disabled:
            return "W&B: disabled by WANDB_MODE"
        if self.failed:
            return f"W&B: logging ended early; {self._sync_command()} sends what there is"
        experiment = self.experiment
        return f"W&B offline: {self._sync_command()}" if self.offline else f"W&B: {experiment.url}"


def one_line(error: BaseException) -> str:
    """Return class and message of an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def finish_run(failed: bool = False) -> None:
    """Close W&B's run, if one is open: whatever was logged is written first; an error is warned of, not raised.

    Args:
        failed: whether W&B is to show the run as failed.
    """
    try:
        wandb.finish(exit_code=int(failed))
    except Exception as error:
        rank_zero_warn(f"W&B: {one_line(error)}; the end of this run may be missing there")
