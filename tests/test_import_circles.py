"""No module, and no package of the house, imports itself by way of others."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ("lightning_modules", "datamodules", "callbacks", "experiments", "segdepth")

Graph = dict[str, set[str]]


def read_house() -> dict[str, str]:
    """Source of every module, by its dotted name."""
    sources = {}
    for path in (file for room in HOUSE for file in (ROOT / room).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        offers = path.with_suffix(".pyi")  # of a package that imports what it offers only when asked
        text = (offers if offers.exists() else path).read_text(encoding="utf-8")
        sources[name] = (
            text.replace("from . ", f"from {name} ").replace("from .", f"from {name}.") if offers.exists() else text
        )
    return sources


def import_graph(sources: Mapping[str, str]) -> Graph:
    """What each module imports of the others, at its top or inside functions.

    ``from a import b`` imports the module ``a.b`` if there is one, else ``a``. That importing ``a.b`` runs the
    ``__init__`` of ``a`` first does not count, nor do imports for type checkers alone.
    """
    graph: Graph = {module: set() for module in sources}
    for module, source in sources.items():
        for node in run_nodes(ast.parse(source)):
            if isinstance(node, ast.Import):
                graph[module] |= {alias.name for alias in node.names} & sources.keys()
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{module}, line {node.lineno}: an import that is relative"
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                graph[module] |= {name if name in sources else f"{node.module}" for name in names} & {*sources}
    return graph


def run_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a tree but those under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from run_nodes(node)


def package_of(module: str) -> str:
    """A package at second place (``experiments.config``) or a module that lies beside them (``datamodules.base``)."""
    return ".".join(module.split(".")[:2])


def package_graph(graph: Graph) -> Graph:
    """Imports between packages, without those of a room itself, whose ``__init__`` only offers names."""
    packages: Graph = {package_of(module): set() for module in graph if "." in module}
    for module, imported in graph.items():
        if "." in module:
            packages[package_of(module)] |= {package_of(name) for name in imported if "." in name}
    return {package: imported - {package} for package, imported in packages.items()}


def circles(graph: Graph) -> list[str]:
    """Modules that import each other, each group once: "a, b"."""
    reached = {node: reachable(graph, node) for node in graph}
    groups = {frozenset(other for other in reached[node] if node in reached[other]) for node in graph}
    return sorted(", ".join(sorted(group)) for group in groups if group)


def reachable(graph: Graph, start: str) -> set[str]:
    """All that a node imports, itself only if a circle leads back."""
    found: set[str] = set()
    waiting: list[str] = [*graph[start]]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += graph[node]
    return found


@pytest.fixture(scope="module")
def house() -> Graph:
    return import_graph(read_house())


def within(graph: Graph, rooms: Iterable[str]) -> Graph:
    """The part of a graph that lies in some rooms."""
    kept = {node for node in graph if node.split(".")[0] in rooms}
    return {node: graph[node] & kept for node in kept}


def test_no_module_imports_itself_by_way_of_others(house):
    assert circles(house) == []


@pytest.mark.parametrize("room", HOUSE)
def test_no_package_of_a_room_imports_itself_by_way_of_others(house, room):
    assert circles(within(package_graph(house), [room])) == []


def test_no_package_imports_itself_by_way_of_other_rooms(house):
    found = circles(package_graph(house))
    assert found == [circle for room in HOUSE for circle in circles(within(package_graph(house), [room]))]


def test_a_circle_is_found_wherever_the_import_stands():
    sources = {
        "room": "from room.a.one import f",
        "room.a.one": "import room.b.two",
        "room.b.two": "def g():\n    from room.c import three",
        "room.c.three": "from room.a.one import f",
        "room.d": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from room.e import h",
        "room.e": "from room.d import f",
    }
    graph = import_graph(sources)
    assert circles(graph) == ["room.a.one, room.b.two, room.c.three"]
    assert circles(package_graph(graph)) == ["room.a, room.b, room.c"]
    del graph["room.c.three"]
    assert circles({node: imported - {"room.c.three"} for node, imported in graph.items()}) == []
