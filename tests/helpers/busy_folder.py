"""A folder in which another process is at work."""

import os
import signal
import time
from contextlib import contextmanager

from experiments.results.folder_lock import work_in


@contextmanager
def held_elsewhere(folder):
    """A folder in which another process is at work, and the number of that process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with work_in(folder, ""):
            os.write(writing, b"!")
            while os.getppid() != 1:
                time.sleep(0.01)
        os._exit(0)
    try:
        os.read(reading, 1)
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)
