"""What the source imports is declared in pyproject.toml, and bounded where private parts of it are used."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
OWN = ("lightning_modules", "datamodules", "callbacks", "experiments", "segdepth", "benchmarks", "docs", "tests")

#: Libraries of which private parts are used: a minor version may change those.
BOUNDED = ("lightning", "torchmetrics", "timm", "wandb", "jsonargparse")

#: Comes with torch where there is a GPU that it can be used on; imported there alone.
WITH_TORCH = "triton"

#: A module that a test writes, after the docs' worked example.
WRITTEN = "scene_folders"

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def declared(*extras: str) -> dict[str, Requirement]:
    """Requirements by their normalised names, those of some extras too."""
    lines = PROJECT["dependencies"] + [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    return {canonicalize_name(requirement.name): requirement for requirement in map(Requirement, lines)}


def imported(folder: str) -> Iterator[str]:
    """Top-level names of what the files of a folder import, but for Python's own and the suite's."""
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in (name.partition(".")[0] for name in names):
                if name not in (*OWN, WITH_TORCH, WRITTEN) and name not in sys.stdlib_module_names:
                    yield name


@pytest.mark.parametrize("folder", OWN)
def test_everything_imported_is_declared(folder):
    known = declared(*(("dev",) if folder in ("tests", "docs") else ()))
    distributions = packages_distributions()
    undeclared = {
        name for name in imported(folder) if not {canonicalize_name(d) for d in distributions[name]} & known.keys()
    }
    assert undeclared == set()


@pytest.mark.parametrize("name", BOUNDED)
def test_libraries_with_private_parts_in_use_stop_below_the_next_minor_version(name):
    specifiers = {specifier.operator: specifier.version for specifier in declared()[name].specifier}
    major, minor = map(int, specifiers[">="].split(".")[:2])
    assert specifiers["<"] == f"{major}.{minor + 1}"


def test_the_lock_file_has_every_requirement_in_a_version_that_fits():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock, "the lock file names no place to fetch from"
    locked = dict(re.findall(r"^([\w.-]+)==([\w.]+)", lock, re.MULTILINE))
    for name, requirement in declared("dev").items():
        assert requirement.specifier.contains(locked[name]), requirement
