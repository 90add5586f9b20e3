"""The drawing of the house is that of the source, and the source is laid out as the design says."""

import networkx as nx
import pytest

from docs.draw_house import BEGIN, END, PAGE, draw, group_modules, select_arrows
from tests.helpers.imports import HOUSE, find_circles, find_packages, fold, module_graph

#: Packages that `experiments` may have at its top.
MOST_PACKAGES = 12

#: What each folder may import besides itself.
BELOW = {
    "lightning_modules": set(),
    "datamodules": set(),
    "callbacks": {"lightning_modules", "datamodules"},
    "experiments": {"lightning_modules", "datamodules", "callbacks"},
    "segdepth": {"lightning_modules", "datamodules", "callbacks", "experiments"},
}


@pytest.fixture(scope="module")
def modules():
    return module_graph()


def test_the_drawing_is_that_of_the_source():
    drawn = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert drawn.strip() == draw().strip(), "run `python -m docs.draw_house`"


def test_experiments_has_few_packages_at_its_top():
    packages = [name for name in find_packages() if name.startswith("experiments.") and name.count(".") == 1]
    assert 0 < len(packages) <= MOST_PACKAGES


def test_no_folder_imports_one_above_it(modules):
    folders = fold(modules, {module: module.split(".")[0] for module in modules})
    assert set(BELOW) == set(HOUSE) == set(folders)
    assert {folder: set(folders[folder]) - BELOW[folder] for folder in HOUSE} == {folder: set() for folder in HOUSE}


def test_boxes_import_each_other_in_no_circle(modules):
    assert find_circles(fold(modules, group_modules(modules))) == []


def test_packages_share_a_box_and_modules_below_packages_have_their_own():
    pairs = ["data data.tools", "data.sets data.tools", "data.sets.a data.frames", "data.base data.sets"]
    graph = nx.DiGraph([pair.split() for pair in pairs])
    assert group_modules(graph) == {
        "data": "data",
        "data.tools": "data.tools",
        "data.sets": "data.sets",
        "data.sets.a": "data.sets",
        "data.frames": "data.frames",
        "data.base": "data",
    }


def test_an_arrow_that_a_longer_way_replaces_is_left_out_but_a_circle_is_shown():
    assert select_arrows(nx.DiGraph([("a", "b"), ("b", "c"), ("a", "c")])) == [("a", "b"), ("b", "c")]
    circle = [("a", "b"), ("b", "a"), ("b", "c")]
    assert select_arrows(nx.DiGraph(circle)) == circle
