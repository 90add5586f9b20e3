"""What benchmarks share: operations counted, and contestants timed in turns."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from experiments.judging.network_cost import gflops as gflops
from experiments.judging.network_cost import gflops_inside as gflops_inside


class Elapsed(NamedTuple):
    """Seconds of one call, by the wall clock and by the processor, all threads together."""

    wall: float
    processor: float


def time_interleaved(
    contestants: Mapping[str, Callable[[], object]], rounds: int, device: str = "cpu"
) -> dict[str, list[Elapsed]]:
    """Time of each contestant in each round, one round of all after the other, so that disturbances hit all alike."""
    times: dict[str, list[Elapsed]] = {name: [] for name in contestants}
    for round_ in range(rounds + 1):
        for name, run in contestants.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            if device == "cuda":
                torch.cuda.synchronize()
            if round_:  # the first round warms up
                times[name].append(Elapsed(time.perf_counter() - wall, time.process_time() - processor))
    return times
