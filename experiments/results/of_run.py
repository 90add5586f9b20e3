"""What belongs to one run, and which folder holds the records of each of its tests."""

from dataclasses import dataclass
from pathlib import Path

from experiments.config.run_settings import TESTS


@dataclass(frozen=True)
class OfRun:
    """Something that belongs to one run.

    Attributes:
        folder: the run's folder, ``<root>/<experiment>/<run>``.
    """

    folder: Path

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        return self.folder.parent.name

    @property
    def run(self) -> str:
        """Name of the run within its experiment."""
        return self.folder.name


def folder_of_test(run: Path, test: str) -> Path:
    """Return the folder that holds the records of a test: the run's own for "", else ``<run>/tests/<test>``."""
    return run / TESTS / test if test else run
