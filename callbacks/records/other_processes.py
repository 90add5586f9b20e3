"""Other processes of the same run that no longer answer."""

import re
import signal
from datetime import timedelta

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.lightning_internals import bound_collectives, kill_started_processes

#: Messages of gloo and NCCL after they have waited for too long, and when the other end of a connection is gone.
TOO_LONG = re.compile(r"Timed out waiting|Watchdog caught collective operation timeout|wait timeout|Wait timeout")
GONE = re.compile(
    r"Connection closed by peer|Connection reset by peer|Broken pipe|remote process exited|NCCL.*unhandled"
)


def explain_lost_process(error: BaseException) -> str | None:
    """Return one line on an error of the connection between processes; None for any other error."""
    if not isinstance(error, RuntimeError):
        return None
    text = str(error)
    if TOO_LONG.search(text):
        return (
            "another process of this run did not answer for `run.wait_minutes`: it was stopped, hangs, or its machine "
            "is gone; checkpoints written before are intact, resume with the same command and `--ckpt_path last`"
        )
    if GONE.search(text):
        return (
            "another process of this run has ended, and says why in its own output; checkpoints written before are "
            "intact, resume with the same command and `--ckpt_path last`"
        )
    return None


class OtherProcesses(Callback):
    """Bound the time in which processes wait for each other, and end those that this one has started and lost.

    Args:
        wait_minutes: how long a process waits for the answer of another one. Nothing that one process does alone, such
            as writing pictures while the others wait, may take longer.

    Raises:
        ValueError: if the time is not positive.
    """

    def __init__(self, wait_minutes: float = 10.0):
        if wait_minutes <= 0:
            raise ValueError(f"`run.wait_minutes` must be positive, got {wait_minutes}")
        self.wait_minutes = wait_minutes

    def apply(self, trainer: Trainer) -> None:
        """Set the time, before processes are connected, unless the configured strategy has one of its own."""
        bound_collectives(trainer, timedelta(minutes=self.wait_minutes))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the processes that do not answer: a stopped one would stay for ever."""
        if explain_lost_process(exception):
            kill_started_processes(trainer, signal.SIGKILL)
