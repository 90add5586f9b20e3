"""Help lists every class that the suite offers, though a package imports what it offers only when asked."""

import subprocess
import sys
from inspect import isabstract
from pathlib import Path

import pytest

import callbacks
import datamodules
import lightning_modules

ROOT = Path(__file__).parents[3]

#: What each option of the command line takes subclasses of.
OPTIONS = {callbacks: "Callback", datamodules: "DepthDataModule", lightning_modules: "DepthModule"}


@pytest.mark.slow
def test_help_lists_what_the_packages_offer():
    command = [sys.executable, "-m", "experiments", "fit", "--help"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.replace("\n", " ")
    for package, base in OPTIONS.items():
        classes = [cls for cls in (getattr(package, name) for name in package.__all__) if isinstance(cls, type)]
        classes = [
            cls for cls in classes if base in {parent.__name__ for parent in cls.__mro__} and not isabstract(cls)
        ]
        names = [f"{package.__name__}.{cls.__name__}" for cls in classes]
        assert len(names) > 5
        assert [name for name in names if name not in listed] == []
