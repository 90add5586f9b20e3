"""Facts about one side of a machine, and what is wrong with it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

#: Seconds that a look at a file system or a driver may take.
PATIENCE = 3.0


@dataclass(frozen=True)
class Problem:
    """Something that is wrong.

    Attributes:
        what: it is.
        fix: what to do.
        stops: whether it would stop `make exp`.
    """

    what: str
    fix: str
    stops: bool


@dataclass
class Section:
    """One side of the machine.

    Attributes:
        name: its title.
        facts: what was found, by name.
        problems: what is wrong with it.
    """

    name: str
    facts: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def stop(self, what: str, fix: str) -> None:
        """Note a problem that would stop an experiment."""
        self.problems.append(Problem(what, fix, stops=True))

    def warn(self, what: str, fix: str) -> None:
        """Note a problem that an experiment can live with."""
        self.problems.append(Problem(what, fix, stops=False))


def bounded(look: Callable[[], T], patience: float = PATIENCE) -> T:
    """Return what a function returns, unless it hangs: on a network drive whose server is gone, or a driver.

    Raises:
        TimeoutError: if it takes too long; it is left behind in a thread that does not keep the process alive.
        Exception: whatever the function raises.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(look())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(patience)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {patience:.0f} s")
    return results[0]
