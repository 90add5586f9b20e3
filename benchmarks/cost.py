"""What benchmarks share: operations counted, and contestants timed in turns."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


class Elapsed(NamedTuple):
    """Seconds of one call, by the wall clock and by the processor, all threads together."""

    wall: float
    processor: float


def gflops(function: Callable[[], object]) -> float:
    """Floating point operations (two per multiply-add) of a call, in billions."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops() / 1e9


def gflops_inside(model: nn.Module, kind: type[nn.Module], batch: dict[str, Tensor]) -> float:
    """GFLOPs of all modules of a kind during one forward, each counted on the inputs it really gets."""
    calls: list[Callable[[], object]] = []

    def record(module: nn.Module, args: tuple, kwargs: dict) -> None:
        calls.append(lambda: module.forward(*args, **kwargs))

    hooks = [m.register_forward_pre_hook(record, with_kwargs=True) for m in model.modules() if isinstance(m, kind)]
    model(batch)
    for hook in hooks:
        hook.remove()
    return sum(gflops(call) for call in calls)


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
