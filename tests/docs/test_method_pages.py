"""What docs/methods says of each paper's text names files, tests, experiments and settings that there are."""

from pathlib import Path

import pytest

from tests.helpers.method_pages import complaints, read_rows

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")

METHODS = Path(__file__).parents[2] / "docs/methods"

#: Page to the experiments whose settings it names, each with the data that take the place of its own, if any.
PAGES = {
    "mti_net.md": ["mti_net_guided", "mti_net_zoomed_crops"],
    "region_support.md": ["region_support_end_to_end"],
    "semantic_md.md": [
        "semantic_md_baseline_l1",
        "semantic_md_baseline_berhu",
        "semantic_md_onehot20",
        "semantic_md_semantic_conv",
        "semantic_md_contour",
        "semantic_md_two_head_sobel",
    ],
    "shed.md": ["shed_hybrid", "shed_hybrid_hypersim", "shed_hybrid data/nyuv2_raw"],
}

TITLES = (
    "| the paper (section) | runs by default | option for the other reading | where | test |\n|---|---|---|---|---|\n"
)
ROW = (
    "| thirty epochs (6) | 30 | `trainer.max_epochs: 10`, `mti_net_plain_l1` | [yaml](../experiments/mti.yaml) "
    "| [`test_mti.py::test_epochs`](../tests/test_mti.py) |\n"
)


def test_every_page_is_held():
    assert {path.name for path in METHODS.glob("*.md")} == set(PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page):
    assert not complaints(METHODS / page, PAGES[page])


@pytest.fixture
def page(tmp_path):
    """A page with one row, and the files that it names; further text takes the place of the row's."""
    (tmp_path / "docs").mkdir()
    for file, text in (
        ("experiments/mti.yaml", "trainer: {}\n"),
        ("tests/test_mti.py", "def test_epochs():\n    pass\n"),
    ):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text(text)

    def write(row=ROW):
        path = tmp_path / "docs/mti.md"
        path.write_text(f"# MTI\n\n## As the paper prints it\n\n{TITLES}{row}\n## Next\n\n| a | b |\n")
        return path

    return write


def test_a_true_row(page):
    assert not complaints(page(), ["mti_net_guided"])
    assert not complaints(page(ROW.replace("`trainer.max_epochs: 10`, `mti_net_plain_l1`", "\N{EN DASH}")), [])
    assert [row.line for row in read_rows(page(ROW + ROW))] == [7, 8]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("30", ""), "`runs by default` is empty"),
        (("../experiments/mti.yaml", "../experiments/gone.yaml"), "`where`: there is no file"),
        (("[yaml](../experiments/mti.yaml)", "mti.yaml"), "`where` has no link"),
        (("mti.yaml", "mti.md"), "`where`: ../experiments/mti.md is none of"),
        (("test_epochs", "test_epoch"), "`test`: there is no test_epoch in"),
        (("`test_mti.py::", "`test_mtl.py::"), "leads to ../tests/test_mti.py"),
        (("mti_net_plain_l1", "mti_net_plain_l3"), "there is no experiment `mti_net_plain_l3`"),
        (("max_epochs", "max_epoch"), "`trainer.max_epoch: 10` is refused"),
        (("trainer.max_epochs: 10", "model.init_args.width: wide"), "`model.init_args.width: wide` is refused"),
        (("trainer.max_epochs: 10", "model.init_args.alpha: 1"), "`model.init_args.alpha: 1` is refused"),
        (("trainer.max_epochs: 10", "trainer.max_epochs: 30"), "`trainer.max_epochs: 30` is what runs by default"),
        (("`trainer.max_epochs: 10`, `mti_net_plain_l1`", "plain"), "names no experiment or setting"),
    ],
)  # fmt: skip
def test_a_false_row(page, wrong, said):
    (complaint,) = complaints(page(ROW.replace(*wrong)), ["mti_net_guided"])
    assert complaint.startswith("mti.md:7: ")
    assert said in complaint


def test_a_page_without_the_table(page):
    path = page()
    path.write_text(path.read_text().replace("## As the paper", "## What the paper"))
    with pytest.raises(ValueError, match=r"mti\.md has no section"):
        read_rows(path)
    with pytest.raises(ValueError, match="has no row"):
        read_rows(page(""))
    with pytest.raises(ValueError, match="4 cells, need 5"):
        read_rows(page("| a | b | c | d |\n"))
