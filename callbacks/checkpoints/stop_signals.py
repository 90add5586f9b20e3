"""Signals that ask a command to stop, remembered until it can."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, ClassVar, NoReturn

from lightning.pytorch import Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info

#: Of Ctrl-C; of batch systems and `kill`; of a terminal that is closed; of batch systems that warn before the end.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def is_wanted(number: int) -> bool:
    """Return whether a signal stops a command: under `nohup`, that of a closed terminal does not."""
    return number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN


class StopSignals:
    """Signal handlers that remember the first signal, until the command can stop; a second Ctrl-C ends at once.

    Args:
        unit: name of what is finished before the command stops, for the message.

    Attributes:
        received: number of the signal, 0 while there was none.
    """

    #: Last signal that any instance in this process has received, 0 for none: a later error is a consequence of it.
    latest: ClassVar[int] = 0

    def __init__(self, unit: str = "step") -> None:
        self.unit = unit
        self.received = 0
        self._process = 0
        self._previous: dict[int, Any] = {}

    def install(self) -> None:
        """Set the handlers, in place of Lightning's, which act in the middle of a step."""
        if self._previous or threading.current_thread() is not threading.main_thread():
            return
        self._process = os.getpid()
        self._previous = {number: signal.signal(number, self._remember) for number in STOPPING if is_wanted(number)}

    def restore(self) -> None:
        """Set the handlers from before :meth:`install`."""
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous = {}

    def note_earlier(self, trainer: Trainer) -> None:
        """Remember a SIGTERM that Lightning's handlers received before these were set."""
        if trainer.received_sigterm:
            self.received = self.received or signal.SIGTERM

    def stop(self, left: str) -> NoReturn:
        """Print what is left, let a batch system submit the job again where that was set up, and end the program.

        The exit status is 128 + signal.

        Args:
            left: what was done, what is kept and how to resume.

        Raises:
            SystemExit: always.
        """
        rank_zero_info(f"{signal.Signals(self.received).name}: {left}")
        if requeue := self.requeue_handler(self.received):
            requeue(self.received, None)
        raise SystemExit(128 + self.received)

    def requeue_handler(self, number: int) -> Callable[..., Any] | None:
        """Return Lightning's handler that submits the job again (SLURM), to be called between two steps; else None."""
        handler = self._previous.get(number)
        warned = number in (signal.SIGUSR1, signal.SIGUSR2)
        return handler if warned and callable(handler) else None

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.received and os.getpid() == self._process:
            name = signal.Signals(number).name
            print(f"{name}: stopping after this {self.unit}; Ctrl-C ends at once", file=sys.stderr, flush=True)
        self.received = self.received or number
        StopSignals.latest = self.received
