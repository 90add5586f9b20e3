"""Operators that a training step dispatches, and the bytes they move: SHED, its light variant and DPT-Hybrid.

On a GPU each operator but views costs a launch or more, and where launches take longer than the arithmetic they are the
step's time. Counted is what torch dispatches in forward, losses, backward, the check of the gradients and the optimizer
under bfloat16 autocast, on the CPU: counts do not depend on the device but for a few operators, nor on the batch. An
operator on a list of tensors counts once. ``captured`` is what a step dispatches when a CUDA graph holds the rest.
Bytes are of all tensors that an operator reads and writes; views and allocations move none.

    .venv/bin/python -m benchmarks.step_operators                                this checkout
    .venv/bin/python -m benchmarks.step_operators --against OTHER_CHECKOUT       and another, with ratios
    .venv/bin/python -m benchmarks.step_operators --modules                      by module
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.gpu_check.gpu_workers import Processes
from benchmarks.gpu_check.worker import NETWORKS

ROOT = Path(__file__).resolve().parents[1]

KINDS = ("operators", "copies", "others", "views", "allocations")


def count(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the counts of each network, by name and way: ``before`` of another checkout, ``now``, ``captured``."""
    given = {"batch": options.batch, "size": options.size, "device": "cpu", "small": options.small}
    checkouts = {"now": ROOT} | ({"before": options.against.resolve()} if options.against else {})
    ways = [("before", "eager"), ("now", "eager"), ("now", "captured")]
    counts: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        processes = Processes(checkouts, given, Path(folder))
        for network in options.only or NETWORKS:
            counts[network] = {}
            for checkout, mode in ways:
                if checkout not in checkouts:
                    continue
                process = processes.of(checkout, mode)
                answer = process.ask(600, "make", network, mode)
                if "error" not in answer:
                    answer = process.ask(600, "count", network, mode)
                    process.ask(60, "drop", network, mode)
                if "error" in answer:
                    raise RuntimeError(f"{network}, {checkout}, {mode}: {answer['error']}")
                counts[network]["captured" if mode == "captured" else checkout] = answer
        processes.end()
    return counts


def as_table(counts: dict[str, dict[str, Any]], title: str) -> Table:
    table = Table("network", "", *KINDS, "GB moved", "of before", title=title)
    for network, ways in counts.items():
        before = ways.get("before", {}).get("total", {}).get("operators")
        for way, answer in ways.items():
            total = answer["total"]
            cells = [str(total.get(kind, 0)) for kind in KINDS]
            ratio = f"{total['operators'] / before:.2f}" if before else ""
            table.add_row(network, way, *cells, f"{total['bytes'] / 1e9:.2f}", ratio)
    return table


def by_module(network: str, answer: dict[str, Any]) -> Table:
    table = Table("module", *KINDS, "MB moved", title=f"{network}, forward and backward by module")
    for module, found in sorted(answer["modules"].items(), key=lambda item: -item[1]["operators"]):
        table.add_row(module, *(str(found.get(kind, 0)) for kind in KINDS), f"{found['bytes'] / 1e6:.0f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another checkout of this repository")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--only", choices=tuple(NETWORKS), action="append", help="one of the networks alone")
    parser.add_argument("--modules", action="store_true", help="print a table of each network's modules, too")
    parser.add_argument("--small", action="store_true", help="small networks, to try this")
    parser.add_argument("--output", type=Path, help="JSON file of the counts")
    options = parser.parse_args()
    counts = count(options)
    console = Console(width=120)
    console.print(as_table(counts, f"a training step, batch {options.batch}, {options.size}x{options.size}, bf16"))
    if options.modules:
        for network, ways in counts.items():
            console.print(by_module(network, ways["now"]))
    if options.output:
        options.output.write_text(json.dumps(counts, indent=1))


if __name__ == "__main__":
    main()
