"""A method on one process, or on one of two (gloo), in a process that was there before."""

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import distributed as dist

from tests.contract.assembly import Assembly

#: One process that waits for the other this long ends both: a hang is a failure, not a hang.
PATIENCE = timedelta(seconds=60)


@dataclass(frozen=True)
class Place:
    """Where a process finds what it needs.

    Attributes:
        frames: folder of labelled frames.
        folder: where it may write.
        documented: folder of the docs' examples.
        port: where processes meet.
    """

    frames: Path
    folder: Path
    documented: Path
    port: int = 0


def run(name: str, place: Place, rank: int = 0, processes: int = 1) -> dict[str, dict[str, float]]:
    """Validate, test, and then train a method, in one of some processes.

    Returns:
        What was logged by `validate`, `test` and `fit`.
    """
    torch.set_num_threads(1)
    if str(place.documented) not in sys.path:
        sys.path.insert(0, str(place.documented))
    with meeting(place.port, rank, processes) as strategy:
        assembled = Assembly(name, place.frames, place.folder, trainer={"devices": processes, "strategy": strategy})
        trainer, logged = assembled.trainer, {}
        for verb in ("validate", "test", "fit"):
            options = {} if verb == "fit" else {"verbose": False}
            getattr(trainer, verb)(assembled.method, datamodule=assembled.data, **options)
            logged[verb] = {key: float(value) for key, value in trainer.callback_metrics.items()}
        return logged


@contextmanager
def meeting(port: int, rank: int, processes: int):
    """Be one of some processes, as far as Lightning can tell; nothing is left of it in the end."""
    if processes == 1:
        yield "auto"
        return
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    os.environ.update(environment)
    try:
        yield DDPStrategy(process_group_backend="gloo", timeout=PATIENCE)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        for key in environment:
            del os.environ[key]
