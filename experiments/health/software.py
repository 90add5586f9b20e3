"""Python, packages, system libraries, and the state of the checkout."""

import importlib
import importlib.metadata
import importlib.util
import platform
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from experiments.health.packages import OPENCV, PACKAGES, package_version
from experiments.health.section import Section

REPOSITORY = Path(__file__).parents[2]

#: Packages whose versions are always shown.
SHOWN = ("torch", "torchvision", "lightning", "timm", "opencv-contrib-python", "wandb")

#: Differences from requirements.lock that are named.
NAMED = 3

SETUP = "`make setup`, or `pip install -r requirements.lock`"


def environment() -> Section:
    """Check Python, and every package, against pyproject.toml and requirements.lock."""
    section = Section("environment", {"python": f"{platform.python_version()} ({sys.executable})"})
    project = _project()
    wanted = SpecifierSet(project.get("requires-python", ""))
    if not wanted.contains(platform.python_version(), prereleases=True):
        section.stop(f"Python {platform.python_version()} is too old: need {wanted}", "make setup PYTHON=python3.11")
    for requirement in map(Requirement, project.get("dependencies", [])):
        installed = _installed(requirement.name)
        if installed is None and _importable(requirement.name):
            section.warn(f"{requirement.name} has no metadata: which version it is cannot be told", SETUP)
        elif installed is None:
            section.stop(f"{requirement.name} is not installed", SETUP)
        elif not requirement.specifier.contains(installed, prereleases=True):
            section.stop(f"{requirement.name} {installed} does not fit: need {requirement.specifier}", SETUP)
        if requirement.name in SHOWN:
            section.facts[requirement.name] = str(installed or "missing")
            if other := next((name for name in OPENCV if requirement.name in OPENCV and _version(name)), None):
                section.facts[requirement.name] += "" if other == requirement.name else f" as {other}"
    differing = [
        f"{requirement.name} {installed} in place of {locked}"
        for requirement, locked in _locked()
        if (installed := _version(requirement.name)) is not None and Version(installed.public) != Version(locked)
    ]
    if differing:
        more = f" and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
        section.warn(f"differs from requirements.lock: {', '.join(differing[:NAMED])}{more}", SETUP)
    _try_imports(section)
    return section


def _try_imports(section: Section) -> None:
    """Load what is linked against the system's libraries."""
    try:
        cv2 = importlib.import_module("cv2")
        if not hasattr(cv2, "ximgproc"):
            section.warn(
                "OpenCV as installed has no SEEDS superpixels, which SHED and CAST take",
                "pip uninstall every opencv package, then pip install opencv-contrib-python (or -headless)",
            )
        section.facts["OpenCV"] = f"{cv2.__version__}, {cv2.getNumThreads()} threads"
    except ImportError as error:
        libraries = (
            "apt-get install libgl1 libglib2.0-0 libxcb1 (Debian, Ubuntu), or opencv-contrib-python-headless "
            "in place of opencv-contrib-python"
        )
        section.stop(f"OpenCV cannot be loaded ({error})", libraries if ".so" in str(error) else SETUP)
    try:
        torch = importlib.import_module("torch")
        section.facts["torch"] = f"{torch.__version__}, CUDA {torch.version.cuda or 'none: a CPU build'}"
    except (ImportError, OSError) as error:
        section.stop(f"torch cannot be loaded ({error})", SETUP)


def git() -> Section:
    """Return the commit of the checkout, and whether files differ from it."""
    from callbacks.records.run_recorder import git_state

    section, state = Section("git"), git_state(REPOSITORY)
    if not state:
        section.facts["commit"] = "none"
        section.warn(
            "not a git checkout, or git is not installed: runs cannot name their commit", "clone the repository"
        )
        return section
    section.facts["commit"] = state["commit"][:7] + (", with changes that are not committed" if state["dirty"] else "")
    return section


def _project() -> dict:
    """``project`` of pyproject.toml, or what an installed package says of itself."""
    path = REPOSITORY / "pyproject.toml"
    if path.is_file():
        return tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    try:
        required = importlib.metadata.requires("segdepth") or []
        python = importlib.metadata.metadata("segdepth")["Requires-Python"]
    except importlib.metadata.PackageNotFoundError:
        return {}
    return {"requires-python": python, "dependencies": [line for line in required if "extra ==" not in line]}


def _locked() -> Iterator[tuple[Requirement, str]]:
    """Packages of requirements.lock that this machine needs, with their versions."""
    path = REPOSITORY / "requirements.lock"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for line in lines:
        if "==" not in line or line.lstrip().startswith(("#", "-")):
            continue
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement, next(iter(requirement.specifier)).version


def _installed(name: str) -> Version | None:
    """Version of a requirement; of OpenCV, that of whichever distribution brings it."""
    names = OPENCV if name in OPENCV else (name,)
    return next((version for version in map(_version, names) if version is not None), None)


def _importable(name: str) -> bool:
    """Whether a requirement can be imported though its metadata are missing."""
    module = (
        "cv2" if name in OPENCV else {"PyYAML": "yaml", "pillow": "PIL", **PACKAGES}.get(name, name.replace("-", "_"))
    )
    return importlib.util.find_spec(module) is not None


def _version(name: str) -> Version | None:
    installed = package_version(name)
    return None if installed is None else Version(installed)
