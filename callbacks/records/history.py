"""The curves of a run as a file: which metrics were logged at which step, for `segdepth compare`."""

import json
import math
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from callbacks.lightning_internals import is_fast_dev_run, log_interval
from datamodules.files import WriteError, write_text_atomically

Line = dict[str, Any]


class History(Callback):
    """Append to ``history.jsonl`` in the run folder: a JSON object a point, with ``step``, ``epoch`` and the metrics.

    A point is a training step that the trainer logs (``log_every_n_steps``), the end of a validation, or the end of an
    epoch. A run that is resumed from a checkpoint appends to the same file, after points beyond the checkpoint's step
    are dropped: no metric stands there twice. A disk that is full ends the history, not the training.

    Args:
        max_points: points that the file may hold; where there are more, every second training step is dropped.

    Raises:
        ValueError: if ``max_points`` leaves nothing to halve.
    """

    def __init__(self, max_points: int = 4000):
        if max_points < 2:
            raise ValueError(f"History: `max_points` must be at least 2, got {max_points}")
        self.max_points = max_points
        self.lines: list[Line] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the points of an earlier history up to the step at which training starts."""
        self.path = Path(trainer.default_root_dir) / "history.jsonl"
        self.last_step, self.stride = trainer.global_step, 1
        self.of_steps: set[str] = set()
        self.first_epoch = True
        self.writes = trainer.is_global_zero and not is_fast_dev_run(trainer)
        if self.writes:
            self.lines = [line for line in read_history(self.path) if line["step"] <= self.last_step]
            self._rewrite()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the metrics of a training step."""
        if self.first_epoch:  # later the means of epochs are there too, as they were when the epoch ended
            self.of_steps |= {key for key in trainer.callback_metrics if key.startswith("train/")}
        step, every = trainer.global_step, log_interval(trainer)
        if step != self.last_step and every and step % (every * self.stride) == 0:
            self._write(trainer, self.of_steps)
        self.last_step = step

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the metrics of a validation during training."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._write(trainer, {key for key in trainer.callback_metrics if key.startswith("val/")})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the means over an epoch."""
        self.first_epoch = False
        keys = {key for key in trainer.callback_metrics if key.startswith("train/")}
        self._write(trainer, keys - self.of_steps)

    def _write(self, trainer: Trainer, keys: set[str]) -> None:
        """Append a point; every process computes it, as some metrics are reduced over all of them."""
        metrics = trainer.callback_metrics
        # Lightning gives `train/loss` beside `train/loss_step` and `train/loss_epoch`, as either of them
        names = sorted(key for key in keys if key in metrics and not {f"{key}_step", f"{key}_epoch"} & metrics.keys())
        values = {key: number(metrics[key]) for key in names}
        line = {"step": trainer.global_step, "epoch": trainer.current_epoch, **values}
        if self.writes and values and not any(self._says_as_much(earlier, line) for earlier in self.lines[-4:]):
            self._append(line)

    @staticmethod
    def _says_as_much(earlier: Line, line: Line) -> bool:
        """Return whether an earlier line has all metrics of a line: a resumed run validates some steps again."""
        return earlier["step"] == line["step"] and line.keys() <= earlier.keys()

    def _append(self, line: Line) -> None:
        self.lines.append(line)
        if len(self.lines) > self.max_points:
            self._thin()
            self._rewrite()
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:  # closing flushes
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            self._give_up(error)

    def _thin(self) -> None:
        """Drop every second training step, and, where that is not enough, every second point."""
        self.stride *= 2
        steps = [line for line in self.lines if is_step(line)]
        dropped = {id(line) for line in steps[::2]}
        self.lines = [line for line in self.lines if id(line) not in dropped]
        if len(self.lines) > self.max_points:
            self.lines = self.lines[1::2]

    def _rewrite(self) -> None:
        """Replace the file, atomically."""
        try:
            write_text_atomically(self.path, "".join(json.dumps(line) + "\n" for line in self.lines))
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.writes = False
        reason = str(error) if isinstance(error, WriteError) else f"{self.path}: {error.strerror or error}"
        rank_zero_warn(f"{reason}; the curves of this run end here, training continues")


def is_step(line: Line) -> bool:
    """Return whether a line holds the metrics of a training step, not those of an epoch or a validation."""
    return not any(key.startswith("val/") or key.endswith("_epoch") for key in line)


def number(value: Tensor) -> float | None:
    """Return a scalar, to six digits, as JSON knows it; None where it is not finite."""
    plain = float(value)
    return float(f"{plain:.6g}") if math.isfinite(plain) else None


def read_history(path: Path) -> list[Line]:
    """Read the lines of a history, in order; there are none where there is no file.

    A line that is cut off, as a killed process leaves it, is left out.
    """
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines
