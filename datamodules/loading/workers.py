"""What the processes that load frames do when they start."""

import signal

import cv2


def use_one_thread(worker: int) -> None:
    """Keep OpenCV from starting a thread per core in every worker; torch does so by itself."""
    cv2.setNumThreads(0)


def prepare_worker(worker: int) -> None:
    """Make a worker use one thread, and let signals stop training, not its workers.

    A terminal and a batch system send their signals to all processes of a group; the training process then finishes its
    step and saves, for which it needs its workers. They still end with it, and at a second SIGTERM.
    """
    use_one_thread(worker)
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))
