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

#: Ctrl-C; batch systems and `kill`; a terminal that is closed; what users of batch systems ask to be warned with.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def is_wanted(number: int) -> bool:
    """Whether a signal stops a command: `nohup` has a closed terminal ignored."""
    return number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN


class StopSignals:
    """Handlers that remember the first signal; a second Ctrl-C ends at once.

    Args:
        unit: what is finished before the command stops, for the message.

    Attributes:
        received: number of the signal, 0 while there was none.
    """

    #: Signal that any of them has received last in this process, 0 for none: what fails after it fails because of it.
    latest: ClassVar[int] = 0

    def __init__(self, unit: str = "step") -> None:
        self.unit = unit
        self.received = 0
        self._process = 0
        self._previous: dict[int, Any] = {}

    def install(self) -> None:
        """Take the signals over, from Lightning as well, whose handlers act in the middle of a step."""
        if self._previous or threading.current_thread() is not threading.main_thread():
            return
        self._process = os.getpid()
        self._previous = {number: signal.signal(number, self._remember) for number in STOPPING if is_wanted(number)}

    def restore(self) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous = {}

    def note_earlier(self, trainer: Trainer) -> None:
        """Take up a SIGTERM that Lightning has noted before these handlers were in place."""
        if trainer.received_sigterm:
            self.received = self.received or signal.SIGTERM

    def stop(self, left: str) -> NoReturn:
        """Say what is left, let a batch system submit the job again where it was to, and end with status 128 + signal.

        Args:
            left: what was done, what is kept and how to go on.

        Raises:
            SystemExit: always.
        """
        rank_zero_info(f"{signal.Signals(self.received).name}: {left}")
        if requeue := self.requeue_handler(self.received):
            requeue(self.received, None)
        raise SystemExit(128 + self.received)

    def requeue_handler(self, number: int) -> Callable[..., Any] | None:
        """What Lightning had put in place to submit the job again (SLURM); for the end of a step, not its middle."""
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
