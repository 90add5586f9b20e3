"""No two modules have one name for different things: a name says which file is meant, in talk and in a search."""

from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("lightning_modules", "datamodules", "callbacks", "experiments", "segdepth", "benchmarks")

#: Names that several packages have for the same thing: every package begins with its ``__init__`` and runs its
#: ``__main__``; the network of a method, as its options, is found under one name in the package of each method.
SHARED = ("__init__.py", "__main__.py", "network.py", "options.py")


def test_a_name_stands_for_one_module():
    places = defaultdict(list)
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not path.read_text(encoding="utf-8").startswith('"""Old name of'):  # checkpoints hold some
                places[path.name].append(path.relative_to(ROOT).as_posix())
    shared = {name: paths for name, paths in places.items() if len(paths) > 1 and name not in SHARED}
    assert shared == {}, "rename all but one, after what each is for"


def test_shared_names_are_those_of_methods_packages():
    methods = ROOT / "lightning_modules" / "networks"
    for name in ("network.py", "options.py"):
        found = [path for folder in FOLDERS for path in (ROOT / folder).rglob(name)]
        assert [path for path in found if path.parent.parent != methods] == []
