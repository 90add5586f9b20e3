"""Signals that ask a training to stop, remembered until it can."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

#: Ctrl-C; batch systems and `kill`; what users of batch systems ask to be warned with.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class StopSignals:
    """Handlers that remember the first signal; a second Ctrl-C ends at once.

    Attributes:
        received: number of the signal, 0 while there was none.
    """

    def __init__(self) -> None:
        self.received = 0
        self._process = 0
        self._previous: dict[int, Any] = {}

    def install(self) -> None:
        """Take the signals over, from Lightning as well, whose handlers act in the middle of a step."""
        if self._previous or threading.current_thread() is not threading.main_thread():
            return
        self._process = os.getpid()
        self._previous = {number: signal.signal(number, self._remember) for number in STOPPING}

    def end_at_once(self) -> None:
        """Let SIGTERM end the process where there is nothing to save; Lightning would only note it."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _end)

    def restore(self) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous = {}

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
            print(f"{name}: stopping after this step; Ctrl-C ends at once", file=sys.stderr, flush=True)
        self.received = self.received or number


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
