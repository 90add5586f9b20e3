"""Training steps of several networks and modes, and of two checkouts, timed in turns."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.gpu_check.gpu_workers import Process, Processes

Row = dict[str, Any]

#: Seconds that a step may take to be built, compiled and run for the first time.
FIRST_STEP = 110.0

#: What is measured together, most important first: network, then checkout and mode.
PLAN: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("DPT-Hybrid", (("old", "eager"), ("new", "eager"), ("new", "captured"), ("new", "captured channels-last"))),
    ("SHED", (("old", "eager"), ("new", "eager"), ("new", "captured"))),
    ("SHED light", (("old", "eager"), ("new", "eager"), ("new", "captured"))),
    ("DPT-Hybrid", (("old", "eager"), ("new", "compiled captured"))),
    ("DPT-Hybrid", (("old", "eager"), ("new", "compiled captured channels-last"))),
    ("SHED", (("old", "eager"), ("new", "compiled captured"))),
    ("SHED light", (("old", "eager"), ("new", "compiled captured"))),
    ("DPT-Hybrid", (("old", "eager"), ("new", "compiled"))),
)

#: Further steps of the long form.
LONG_PLAN: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("SHED", (("new", "compiled"), ("new", "captured channels-last"), ("new", "fp32"))),
    ("SHED light", (("new", "compiled"), ("new", "captured channels-last"), ("new", "fp32"))),
    ("DPT-Hybrid", (("old", "fp32"), ("new", "fp32"), ("new", "fp32 captured"))),
)


def measure_together(
    processes: Processes,
    network: str,
    steps: Sequence[tuple[str, str]],
    *,
    images: int,
    rounds: int,
    repeats: int,
    left: Callable[[], float],
) -> list[Row]:
    """Time steps of one network in turns, then profile each.

    Args:
        processes: of the checkouts.
        network: its name.
        steps: checkout and mode of each; checkouts that there are not are left out.
        images: of a batch.
        rounds: turns of each step.
        repeats: steps of a turn.
        left: returns the seconds that are left; what does not fit is left out.

    Returns:
        A row each: ``ms``, ``issued_ms`` and ``images_per_second`` as medians of the rounds, ``of_old``
        as the throughput over the other checkout's eager one, ``peak_gib``, ``first_step_s``, ``profile``; or
        ``error``.
    """
    rows, made = [], []
    for checkout, mode in steps:
        row: Row = {"network": network, "code": checkout, "mode": mode}
        if checkout not in processes.checkouts:
            continue
        rows.append(row)
        if left() < 12:
            row["error"] = "not run: no time left"
            continue
        process = processes.of(checkout, mode)
        row |= process.ask(min(FIRST_STEP, left() - 2), "make", network, mode)
        if "error" in row:
            process.end()
        else:
            made.append((process, row))
    for _ in range(rounds):
        for process, row in made:
            if not process.ended and left() > 3:
                timed = process.ask(left(), "time", network, row["mode"], steps=repeats)
                row.setdefault("rounds", []).append(timed)
    for _, row in made:
        _summarise(row, images)
    old = next((row["ms"] for row in rows if (row["code"], row["mode"]) == ("old", "eager") and "ms" in row), None)
    for process, row in made:
        if old and "ms" in row:
            row["of_old"] = old / row["ms"]
        if left() > 8:
            row["profile"] = process.ask(min(40, left()), "profile", network, row["mode"], top=25)
        _drop(process, network, row["mode"])
    return rows


def _summarise(row: Row, images: int) -> None:
    timed = [each for each in row.get("rounds", []) if "ms" in each]
    if not timed:
        row.setdefault("error", "not timed: no time left, or the process ended")
        return
    row["ms"] = statistics.median(each["ms"] for each in timed)
    row["issued_ms"] = statistics.median(each["issued_ms"] for each in timed)
    row["images_per_second"] = 1e3 * images / row["ms"]


def _drop(process: Process, network: str, mode: str) -> None:
    if not process.ended:
        process.ask(20, "drop", network, mode)
