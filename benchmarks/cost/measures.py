"""What the benchmarks measure with: operations counted, calls timed in turns, tensors in memory, and the machine."""

import argparse
import os
import platform
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from experiments.judging.network_cost import gflops as gflops
from experiments.judging.network_cost import gflops_inside as gflops_inside

MIB = 2**20


class Elapsed(NamedTuple):
    """Seconds of one call, by the wall clock and by the processor, all threads together."""

    wall: float
    processor: float


def time_interleaved(
    contestants: Mapping[str, Callable[[], object]], rounds: int, device: str = "cpu"
) -> dict[str, list[Elapsed]]:
    """Return the time of each contestant in each round, all of a round in turn, so that disturbances hit all alike."""
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


def peak_bytes(function: Callable[[], object], device: str) -> int:
    """Return the bytes of tensors that a call holds at most, beyond those before it."""
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        function()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        function()
    result = profiler.profiler.kineto_results
    events = sorted((e for e in result.events() if e.name() == "[memory]"), key=lambda event: event.start_ns())
    held = peak = 0
    for event in events:
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def millions(model: nn.Module) -> float:
    """Return the parameters of a network, in millions."""
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


def make_parser(text: str | None, quick: str) -> argparse.ArgumentParser:
    """Return a parser of what all comparisons take.

    Args:
        text: what the comparison measures.
        quick: what `--quick` stands for.
    """
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def machine(device: str) -> str:
    """Return where something was measured."""
    name = torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()} CPU"
    return f"{name}, {torch.get_num_threads()} threads of {os.cpu_count()} cores, torch {torch.__version__}"
