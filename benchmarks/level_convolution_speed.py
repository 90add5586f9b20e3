"""From how many cells a token on SHED's level convolutions pay as products of tokens, on this device.

Times forward and backward of both ways of :mod:`lightning_modules.networks.shed.level_convolution`, interleaved, for
maps of the sizes that SHED has, and compares their results. `CELLS_PER_TOKEN` there is set by this table.

    .venv/bin/python -m benchmarks.level_convolution_speed                   CPU, or CUDA where there is one
    .venv/bin/python -m benchmarks.level_convolution_speed --bf16 --batch 16
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.cost.measures import time_interleaved
from lightning_modules.networks.shed.level_convolution import convolve_map, convolve_tokens

#: Side of the map in cells, and tokens: images of 224 and 384 pixels with superpixels of 24, 16, 12 and 8 pixels.
SHAPES = ((28, 81), (28, 196), (48, 256), (48, 576), (48, 1024), (48, 2304))

WAYS = {"map": convolve_map, "tokens": convolve_tokens}


def make_level(side: int, count: int, options: argparse.Namespace) -> tuple[Tensor, Tensor, tuple[int, int], Tensor]:
    """Return random tokens, cells and weights."""
    dtype = torch.bfloat16 if options.bf16 else torch.float32
    tokens = torch.randn(options.batch, count, options.dim, device=options.device, dtype=dtype, requires_grad=True)
    weight = torch.randn(options.width, options.dim, 3, 3, device=options.device, dtype=dtype) / options.dim**0.5
    cells = torch.randint(count, (options.batch, side * side), device=options.device)
    return tokens, cells, (side, side), weight.requires_grad_()


def difference(level: tuple[Tensor, Tensor, tuple[int, int], Tensor]) -> float:
    """Return the largest difference of the two results."""
    first, second = (way(*level) for way in WAYS.values())
    return (first - second).abs().max().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1, help="images")
    parser.add_argument("--dim", type=int, default=384, help="width of the tokens")
    parser.add_argument("--width", type=int, default=256, help="channels of the map")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()

    columns = ("cells", "tokens", "cells / tokens", "forward, ms: map", "tokens", "ratio")
    table = Table(*columns, "with backward, ms: map", "tokens", "ratio", "difference", title=f"batch {options.batch}")
    for side, count in SHAPES:
        level = make_level(side, count, options)
        row = [f"{side * side}", f"{count}", f"{side * side / count:.1f}"]
        for backward in (False, True):
            run = {name: partial(step, way, level, backward) for name, way in WAYS.items()}
            times = time_interleaved(run, options.rounds, options.device)
            dense, tokens = ([elapsed.wall for elapsed in times[name]] for name in WAYS)
            ratio = statistics.median(b / a for a, b in zip(dense, tokens, strict=True))
            row += [f"{1e3 * statistics.median(dense):.1f}", f"{1e3 * statistics.median(tokens):.1f}", f"{ratio:.2f}"]
        table.add_row(*row, f"{difference(level):.1e}")
    Console(width=140).print(table)


def step(way: Callable[..., Tensor], level: tuple[Tensor, Tensor, tuple[int, int], Tensor], backward: bool) -> None:
    """Run one forward, and its backward if asked for."""
    with torch.set_grad_enabled(backward):
        output = way(*level)
        if backward:
            output.sum().backward()


if __name__ == "__main__":
    main()
