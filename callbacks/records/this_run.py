"""What a command tells its logger and its callbacks of the run that they belong to."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ThisRun:
    """A run, as its watchers see it.

    The command line hands it to the configured logger and to each configured callback that takes an argument
    ``this_run``.

    Attributes:
        place: folder that metrics and pictures are written into.
        experiment: name of the experiment.
        name: full name: experiment, run and, of a further test, the test.
        group: what it is grouped under: the published tables that it repeats rows of, else the experiment.
        command: ``exp``, ``fit``, ``validate``, ``test`` or ``predict``.
        tags: such as experiment, data set, profile, method, paper and tables.
        monitor: validation metric of which the lowest is the best; None leaves the choice to the method.
    """

    place: Path
    experiment: str
    name: str
    group: str
    command: str
    tags: tuple[str, ...] = ()
    monitor: str | None = None
