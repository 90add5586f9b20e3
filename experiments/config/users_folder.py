"""The folder that a command is started in: its modules can be named in configurations, behind the suite's own."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from experiments.config.error import ConfigError

#: The folder that the suite's packages lie in.
OWN_ROOT = Path(__file__).resolve().parents[2]

#: The suite's packages.
OWN = ("callbacks", "datamodules", "experiments", "lightning_modules", "segdepth")


@contextmanager
def importable_folder() -> Iterator[None]:
    """Make the current folder importable, at the end of Python's path, so that it takes nobody's place.

    `python -m experiments` has put it first, where a ``callbacks`` folder in it would be taken for the suite's. The
    suite's own root comes before it: packages in editable mode are else looked for after all folders of the path.

    Raises:
        ConfigError: if another folder of Python's path has taken the place of one of the suite's packages.
    """
    before = list(sys.path)
    here = Path.cwd()
    if here != OWN_ROOT:
        sys.path[:] = [folder for folder in sys.path if folder not in ("", ".", str(here))]
        sys.path += [str(OWN_ROOT), str(here)] if str(OWN_ROOT) not in sys.path else [str(here)]
    try:
        check_own_packages()
        yield
    finally:
        sys.path[:] = before


def check_own_packages() -> None:
    """Check that Python finds the suite's own packages under their names.

    Raises:
        ConfigError: naming the first that it does not.
    """
    for name in OWN:
        spec = find_spec(name)
        places = [Path(place).resolve() for place in (spec and spec.submodule_search_locations) or ()]
        if places and (OWN_ROOT / name).resolve() not in places:
            raise ConfigError(
                f"Python takes {places[0]} for segdepth's package `{name}`; rename it, or take {places[0].parent} out "
                "of PYTHONPATH"
            )


def say_clashes(folder: Path) -> None:
    """Say in one line, in the first of several processes, which modules of a folder are not imported."""
    if folder.resolve() == OWN_ROOT or int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_PROCID") or 0):
        return
    clashes = [name for name in OWN if (folder / f"{name}.py").is_file() or any((folder / name).glob("*.py"))]
    if clashes:
        print(
            f"segdepth: not imported from {folder}: {', '.join(f'`{name}`' for name in clashes)}; segdepth has "
            f"{'packages' if len(clashes) > 1 else 'a package'} of that name, rename what a configuration is to find",
            file=sys.stderr,
        )
