"""Draws which package imports which into docs/house.md, from the imports in the source.

.venv/bin/python -m docs.draw_house    draws anew what stands between the two marks in docs/house.md
"""

import ast

import networkx as nx

from tests.helpers.imports import HOUSE, ROOT, find_modules, fold, module_graph

PAGE = ROOT / "docs" / "house.md"

#: Lines of the page between which the drawing stands.
BEGIN, END = "<!-- drawn by docs/draw_house.py -->\n", "<!-- end of the drawing -->"


def group_modules(graph: nx.DiGraph) -> dict[str, str]:
    """Return the box in which each module is drawn.

    A package directly below one of the five folders is one box with all that is in it. A module that lies in one of the
    five folders itself has a box of its own where a package of its folder needs it; all others share their folder's.
    """
    folders = {module: module.partition(".")[0] for module in graph}
    packages = {".".join(module.split(".")[:2]) for module in graph if module.count(".") > 1}
    boxes = {}
    for folder in set(folders.values()):
        own = [module for module in graph if folders[module] == folder]
        inside = {module for module in own if ".".join(module.split(".")[:2]) in packages}
        needed = set().union(*(nx.descendants(graph.subgraph(own), module) for module in inside)) - {folder}
        for module in own:
            boxes[module] = ".".join(module.split(".")[:2]) if module in inside | needed else folder
    return boxes


def select_arrows(boxes: nx.DiGraph) -> list[tuple[str, str]]:
    """Return the edges that no longer way replaces, and all edges of a circle."""
    groups = nx.condensation(boxes)
    number = groups.graph["mapping"]
    needed = nx.transitive_reduction(groups).edges
    return sorted((a, b) for a, b in boxes.edges if number[a] == number[b] or (number[a], number[b]) in needed)


def first_line(module: str) -> str:
    """Return the first line of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(find_modules()[module].read_text(encoding="utf-8")))
    return (docstring or "").partition("\n")[0]


def draw() -> str:
    """Return a mermaid flowchart, with arrows from who imports to what is imported, and a table of its boxes."""
    modules = module_graph()
    boxes = fold(modules, group_modules(modules))
    names = {box: box.replace(".", "_") for box in boxes}  # mermaid gives a box and the frame around it one name space
    chart, table = ["```mermaid", "flowchart TB"], ["| box | what it holds |", "|---|---|"]
    for folder in reversed(HOUSE):
        chart.append(f"  subgraph {folder}_folder [{folder}]")
        for box in sorted(box for box in boxes if box.split(".")[0] == folder):
            chart.append(f'    {names[box]}["{box.partition(".")[2] or "*.py"}"]')
            table.append(f"| `{box.replace('.', '/')}` | {first_line(box)} |")
        chart.append("  end")
    chart += [f"  {names[a]} --> {names[b]}" for a, b in select_arrows(boxes)]
    return "\n".join([*chart, "```", "", *table, ""])


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{draw()}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
