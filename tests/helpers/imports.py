"""Who imports whom in the house, read from the source without importing it, as graphs of networkx."""

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import networkx as nx

ROOT = Path(__file__).parents[2]

#: The five folders of the house.
HOUSE = ("lightning_modules", "datamodules", "callbacks", "experiments", "segdepth")


def find_modules(root: Path = ROOT) -> dict[str, Path]:
    """Return the file of every module of the house, by dotted name; that of a package is its ``__init__.py``."""
    modules = {}
    for folder in HOUSE:
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def find_packages(root: Path = ROOT) -> list[str]:
    """Return the dotted names of the packages of the house, folders with an ``__init__.py``."""
    return [name for name, path in find_modules(root).items() if path.name == "__init__.py"]


def read_imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything that a file imports, at any depth, also inside functions.

    What a table names as text, to be imported when it is asked for, does not count: commands and old class paths. What
    a package offers in an ``__init__.pyi`` does.
    """
    for source in (file for file in (path, path.with_suffix(".pyi")) if file.exists()):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                above = f"{path.parent.name}." if node.level else ""  # of one of the house's folders
                yield from (f"{above}{node.module}.{alias.name}" for alias in node.names)  # cut to a module below


def offered(package: ModuleType) -> dict[str, Any]:
    """Return what a package offers, by name, also what it imports only when asked."""
    return {name: getattr(package, name) for name in package.__all__}


def module_graph(root: Path = ROOT) -> nx.DiGraph:
    """Return a graph with an edge from each module of the house to each that it imports, itself left out."""
    modules = find_modules(root)
    graph = nx.DiGraph()
    graph.add_nodes_from(modules)
    for name, path in modules.items():
        for imported in read_imports(path):
            source = imported if imported in modules else imported.rpartition(".")[0]
            if source in modules and source != name:
                graph.add_edge(name, source)
    return graph


def fold(graph: nx.DiGraph, names: dict[str, str]) -> nx.DiGraph:
    """Return the graph of groups of modules: an edge where a module of one imports a module of another.

    Args:
        graph: of modules.
        names: the group of each module.
    """
    folded = nx.DiGraph()
    folded.add_nodes_from(names[module] for module in graph)
    folded.add_edges_from((names[a], names[b]) for a, b in graph.edges if names[a] != names[b])
    return folded


def find_circles(graph: nx.DiGraph) -> list[list[str]]:
    """Return the groups of nodes that import one another, sorted; none in a graph without a circle."""
    return sorted(sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1)
