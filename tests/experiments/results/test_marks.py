"""Which experiments read ground truth in tests: as their methods say, once built too."""

import pytest

from experiments.config.compose import compose, experiment_names
from experiments.results.marks import oracle_mark, oracle_of

#: Region Support, section 4.2: region support made of true depth, and semantic labels; Semantic-MD, section 4.2: maps.
REGION_SUPPORT = {
    "region_support_refinement_truth",
    "region_support_refinement_truth_63",
    "region_support_truth_as_depth",
}
SEMANTICS = {
    *(f"semantic_md_{name}" for name in (
        "concat", "onehot40", "onehot20", "onehot3", "semantic_conv", "contour", "deeplab_onehot40",
        "concat_as_printed", "semantic_conv_as_printed", "contour_as_printed",
    )),
    "region_support_refinement_semantic",
}  # fmt: skip


@pytest.mark.parametrize("name", experiment_names())
def test_it_is_an_oracle_where_the_paper_reads_the_truth(name):
    truth = "region support" if name in REGION_SUPPORT else "semantics" if name in SEMANTICS else ""
    assert oracle_of(name) == truth


def test_a_name_of_no_experiment_reads_nothing():
    assert oracle_of("somebody_elses") == ""
    assert oracle_mark("") == ""
    assert oracle_mark("semantics") == "oracle semantics"


@pytest.mark.parametrize("name", ["semantic_md_concat", "semantic_md_two_head", "region_support_truth_as_depth"])
def test_it_agrees_with_the_whole_composition(name, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "somewhere")
    arguments = compose([name]).config["model"]["init_args"]
    if "stages" in arguments:
        assert arguments["stages"][-1]["guidance"] == "truth_as_depth"
    else:
        assert bool(arguments.get("semantic_input")) == (oracle_of(name) == "semantics")
