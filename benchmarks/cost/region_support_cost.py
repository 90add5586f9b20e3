"""Time and memory of one training step of the whole Region Support Network: sizes, checkpointing, bfloat16.

The step is that of the end-to-end stage (both modules, three iterations, equation 4), at batch 1 with random weights,
each variant in a process of its own, whose peak resident memory is what the operating system says; on a GPU it is what
torch has allocated. Where memory is short the variant fails by itself, and no other process is harmed. With ``--count``
nothing is computed: torch's memory tracker adds up the tensors that the step would hold at its worst moment, of any
size on any machine; libraries' working space comes on top.

    .venv/bin/python -m benchmarks.cost region_support                                  all sizes and variants
    .venv/bin/python -m benchmarks.cost region_support --quick                          an eighth of the width, 240x320
    .venv/bin/python -m benchmarks.cost region_support --size 480x640 --only checkpointing    that one alone
    .venv/bin/python -m benchmarks.cost region_support --device cuda --batch 4
    .venv/bin/python -m benchmarks.cost region_support --count
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.cost.measures import machine, make_parser
from benchmarks.cost.memory_internals import FakeTensorMode, MemTracker
from lightning_modules import RegionSupportNetwork
from lightning_modules.metrics import EvalProtocol
from lightning_modules.region_support import RegionSupportStage

SIZES = ("240x320", "480x640")

#: Variants: checkpointing, bfloat16.
VARIANTS = {
    "plain": (False, False),
    "bf16": (False, True),
    "checkpointing": (True, False),
    "checkpointing+bf16": (True, True),
}

STAGE = RegionSupportStage(
    "end_to_end", 1, ("generation", "refinement"), guidance="generated", terms={"support": 0.3, "depth": 0.7}
)


def make_batch(images: int, height: int, width: int) -> dict[str, torch.Tensor]:
    """Return a batch of random frames whose regions are squares of 40 pixels."""
    depth = 1 + 4 * torch.rand(images, 1, height, width)
    rows, columns = torch.arange(height)[:, None] // 40, torch.arange(width) // 40
    return {
        "image": torch.randn(images, 3, height, width),
        "depth": depth,
        "valid": torch.ones_like(depth, dtype=torch.bool),
        "region_support": depth.clone(),
        "regions": (1 + rows * width + columns).expand(images, height, width),
    }


def gigabytes(device: str) -> float:
    """Return the most memory that this process has had in use so far, GiB."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)  # bytes there, kilobytes elsewhere


def make_module(width_mult: float, checkpointing: bool) -> RegionSupportNetwork:
    """Return the method with both modules, in its end-to-end stage."""
    return RegionSupportNetwork(
        stages=[STAGE],
        pretrained=False,
        width_mult=width_mult,
        checkpointing=checkpointing,
        protocol=EvalProtocol("cost only", min_depth=1e-3, max_depth=10.0),
    )


def count(options: argparse.Namespace, size: str, variant: str) -> dict[str, float]:
    """Return GiB of the tensors that a step would hold at its worst moment; nothing is computed.

    A mean over each prediction stands for the loss, whose few maps of one channel do not matter.
    """
    checkpointing, bf16 = VARIANTS[variant]
    height, width = map(int, size.split("x"))
    with warnings.catch_warnings(), FakeTensorMode(allow_non_fake_inputs=True):
        warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")
        module = make_module(options.width_mult, checkpointing)
        batch = make_batch(options.batch, height, width)
        optimizer = torch.optim.SGD(module.parameters(), lr=1e-3, momentum=0.9)
        tracker = MemTracker()
        tracker.track_external(module, optimizer, *batch.values())
        with tracker:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                prediction = module(batch)
            torch.stack([depth.mean() for depth in (prediction.depth, *prediction.aux)]).sum().backward()
            optimizer.step()
        (peak,) = tracker.get_tracker_snapshot("peak").values()
    return {"counted": peak["Total"] / 2**30}


def measure(options: argparse.Namespace, size: str, variant: str) -> dict[str, float]:
    """Return seconds of a step, and GiB before and at its peak."""
    checkpointing, bf16 = VARIANTS[variant]
    height, width = map(int, size.split("x"))
    torch.manual_seed(0)
    module = make_module(options.width_mult, checkpointing).to(options.device)
    batch = {key: value.to(options.device) for key, value in make_batch(options.batch, height, width).items()}
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3, momentum=0.9)
    before = gigabytes(options.device)
    for _ in range(1 + options.warmup):
        start = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast(options.device, torch.bfloat16, enabled=bf16):
            losses = module.losses(module(batch), batch)
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        if options.device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "before": before, "peak": gigabytes(options.device)}


def measure_in_child(options: argparse.Namespace, size: str, variant: str) -> dict[str, float] | str:
    """Return what was measured, or why nothing was."""
    command = [sys.executable, "-m", "benchmarks.cost", "region_support", *options.given, "--child", size, variant]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    return "out of memory" if "memory" in done.stderr.lower() or done.returncode < 0 else done.stderr.strip()[-200:]


def limit_memory(limit: float) -> None:
    """Make this process fail, and no other, beyond so many GiB of address space more than libraries have reserved."""
    table = Path("/proc/self/statm")
    reserved = int(table.read_text().split()[0]) * resource.getpagesize() if table.exists() else 0
    resource.setrlimit(resource.RLIMIT_AS, (reserved + int(limit * 2**30), resource.RLIM_INFINITY))


def available_gigabytes() -> float:
    """Return the memory that is available now, GiB."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser(__doc__, "an eighth of the width, 240x320 alone")
    parser.add_argument("--size", choices=SIZES, action="append", help="one of the sizes alone")
    parser.add_argument("--only", choices=VARIANTS, action="append", help="one of the variants alone")
    parser.add_argument("--width-mult", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--warmup", type=int, default=0, help="steps before the one that is timed")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--limit", type=float, default=0.9 * available_gigabytes(), help="GiB, on a CPU")
    parser.add_argument("--count", action="store_true", help="only the tensors' memory, without computing anything")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.given = arguments
    if options.quick:
        options.width_mult, options.size = 0.125, options.size or ["240x320"]
    return options


def main(arguments: Sequence[str]) -> None:
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    if options.child:
        if options.count:
            print(json.dumps(count(options, *options.child)))
            return
        if options.device == "cpu":
            limit_memory(options.limit)
        print(json.dumps(measure(options, *options.child)))
        return
    columns = ["GiB of tensors"] if options.count else ["s / step", "GiB before", "GiB at the peak"]
    title = f"batch {options.batch}, width x {options.width_mult:g}; {machine(options.device)}"
    table = Table("size", "variant", *columns, title=title)
    for size in options.size or SIZES:
        for variant in options.only or VARIANTS:
            measured: Any = measure_in_child(options, size, variant)
            cells = [measured] if isinstance(measured, str) else [f"{value:.2f}" for value in measured.values()]
            table.add_row(size, variant, *cells)
    table.caption = "one step of the end-to-end stage"
    Console(width=110).print(table)
