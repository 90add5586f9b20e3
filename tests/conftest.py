"""What all tests share."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest

# Before torch is imported: tests run beside each other on few cores, and small tensors gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"


@pytest.fixture(scope="session")
def two_processes():
    """Two processes that live as long as the session: to start one and import torch takes longer than most tests."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool
