"""`segdepth doctor`: what this machine, its software and its data are like, and what is wrong with them."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from json import dumps
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.health import Section, hardware, software
from experiments.health import folders as storage


def doctor(*, runs_root: Path = Path("runs"), json: bool = False) -> None:
    """Look at environment, hardware, data, W&B, weights and git, and say what is wrong; asks nothing of any network.

    Args:
        runs_root: folder of all runs.
        json: print JSON.

    Raises:
        SystemExit: with status 1 if something would stop `make exp`.
    """
    sections = examine(runs_root)
    if json:
        print(dumps(as_json(sections), indent=2))
    else:
        _print(sections)
    if any(problem.stops for section in sections for problem in section.problems):
        sys.exit(1)


def examine(runs: Path) -> list[Section]:
    """Look at everything.

    Args:
        runs: folder of all runs.
    """
    looks: dict[str, Callable[[], Section]] = {
        "environment": software.environment,
        "machine": hardware.cpu,
        "GPU": hardware.gpus,
        "folders": partial(storage.folders, runs),
        "data": storage.data,
        "weights": storage.weights,
        "W&B": partial(storage.tracking, runs),
        "git": software.git,
    }
    return [_look(name, look) for name, look in looks.items()]


def as_json(sections: Sequence[Section]) -> dict:
    """Return facts by section, problems in a row, and ``ok``: whether nothing would stop an experiment."""
    problems = [{"section": section.name, **vars(problem)} for section in sections for problem in section.problems]
    return {
        "ok": not any(problem["stops"] for problem in problems),
        "problems": problems,
        "facts": {section.name: section.facts for section in sections},
    }


def _look(name: str, look: Callable[[], Section]) -> Section:
    """One side of the machine; what cannot even be looked at is a problem of its own."""
    try:
        return look()
    except Exception as error:  # whatever a broken library raises
        section = Section(name)
        section.warn(
            f"{name} cannot be looked at ({type(error).__name__}: {error})", "fix what is named above it first"
        )
        return section


def _print(sections: Sequence[Section]) -> None:
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for section in sections:
        facts = Table.grid(padding=(0, 2))
        for name, fact in section.facts.items():
            facts.add_row(f"  {name}", fact)
        console.print(section.name, style="bold")
        console.print(facts)
    problems = [problem for section in sections for problem in section.problems]
    for problem in sorted(problems, key=lambda problem: not problem.stops):
        word = Text("stops  ", "red") if problem.stops else Text("warning", "yellow")
        console.print(word + f"  {problem.what}\n           -> {problem.fix}")
    stopping = sum(problem.stops for problem in problems)
    if not problems:
        console.print("nothing is wrong")
    else:
        console.print(f"{stopping} problem(s) would stop an experiment, {len(problems) - stopping} would not")
