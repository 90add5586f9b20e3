"""What all tests share."""

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor

import pytest

# Before torch is imported: tests run beside each other on few cores, and small tensors gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
# A shell starts what it runs in the background with Ctrl-C ignored, and the programs that tests interrupt inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def two_processes():
    """Two processes that live as long as the session: to start one and import torch takes longer than most tests."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool
