"""Claims held against the papers' own tables: by hand-computed numbers, and what the suite's files must find."""

from fnmatch import fnmatchcase

import pytest

from experiments.judging.claim import Claim, Direction, Percentage, PrintedComparison, Quantifier, Relation, Stated
from experiments.judging.claims_file import CLAIMS, claim_files, read_claims
from experiments.judging.printed_tables import PrintedPair, judge_printed, printed_pairs


def pair(arm, than, direction=Direction.lower, margin=0.0):
    return PrintedPair("Table 1, NYUv2", "RMSE", arm, than, ("new", "old"), direction, margin)


def printed(file, text):
    """The outcome of the claim of a file whose text holds some words."""
    spec = read_claims(CLAIMS / f"{file}.yaml")
    (claim,) = [claim for claim in spec.claims if text in claim.text]
    return judge_printed(spec, claim)


@pytest.mark.parametrize(
    ("arm", "than", "direction", "margin", "expected"),
    [
        ("0.4", "0.5", Direction.lower, 0.0, True),
        ("0.4", "0.5", Direction.higher, 0.0, False),
        ("0.50", "0.5", Direction.lower, 0.0, None),
        ("0.4", "0.5", Direction.lower, 0.1, None),  # in binary fractions 0.5 - 0.4 is less than 0.1
        ("0.4", "0.5", Direction.lower, 0.2, False),
        ("0.51", "0.5", Direction.lower, -0.02, True),
    ],
)
def test_a_pair_bears_a_claim_out(arm, than, direction, margin, expected):
    assert pair(arm, than, direction, margin).bears_out is expected


@pytest.mark.parametrize(
    ("arm", "than", "percent", "relation", "expected"),
    [
        ("0.681", "0.8673", "25.4", Relation.about, False),  # 21.48
        ("0.681", "0.8673", "21.5", Relation.about, True),
        ("0.681", "0.8673", "21", Relation.about, True),
        ("0.2917", "1.29", "78.7", Relation.more_than, False),  # 77.39
        ("0.2917", "0.583", "50", Relation.more_than, True),  # 49.97, but 0.29165 of 0.5835 would be 50.02
        ("0.0851", "0.129", "50", Relation.more_than, False),
        ("0.271", "0.311", "12.86", Relation.about, True),
        ("0.272", "0.311", "12.86", Relation.about, False),  # 12.54, at most 12.84 before rounding
    ],
)
def test_a_stated_percentage_is_that_of_the_figures_before_rounding(arm, than, percent, relation, expected):
    assert pair(arm, than).gives(Stated(percent, relation, Percentage.improvement)) is expected


def test_percentages_by_hand():
    assert pair("0.6", "0.8").percent(Percentage.improvement) == pytest.approx(25.0)
    assert pair("0.6", "0.8", Direction.higher).percent(Percentage.improvement) == pytest.approx(-25.0)
    assert pair("0.605", "0.452", Direction.higher).percent(Percentage.improvement) == pytest.approx(33.849558)
    assert pair("0.117", "0.2852").percent(Percentage.share) == pytest.approx(41.023843)


@pytest.mark.parametrize(
    ("quantifier", "right", "wrong", "total", "expected"),
    [
        (Quantifier.all, 3, 0, 3, True), (Quantifier.all, 2, 0, 3, None), (Quantifier.all, 2, 1, 3, False),
        (Quantifier.most, 2, 1, 3, True), (Quantifier.most, 1, 1, 3, None), (Quantifier.most, 1, 2, 3, False),
        (Quantifier.most, 2, 2, 4, False), (Quantifier.most, 3, 0, 4, True),
        (Quantifier.any, 1, 2, 3, True), (Quantifier.any, 0, 2, 3, None), (Quantifier.any, 0, 3, 3, False),
        (Quantifier.all, 0, 0, 0, None), (Quantifier.any, 0, 0, 0, None),
    ],
)  # fmt: skip
def test_quantifiers(quantifier, right, wrong, total, expected):
    assert quantifier.decide(right, wrong, total) is expected


@pytest.mark.parametrize(
    ("file", "text", "verdict", "figures"),
    [
        ("region_support_joint", "25.4 %", "contradicts", "printed 21.5 %: RMSE 0.681 against 0.8673"),
        ("region_support_joint", "8.7 %", "supports", "printed 8.7 %: RMSE 0.7922 against 0.8673"),
        ("region_support_refinement", "78.7 %", "contradicts", "printed 77.4 %: RMSE 0.2917 against 1.29"),
        ("region_support_refinement", "all metrics", "supports", "AbsRel 0.1251 against 0.3471"),
        ("region_support_generation", "41 %", "supports", "printed 41.0 %:"),
        ("semantic_md_deeplab", "improves all methods", "contradicts", "RMSE 1.277 against 1.243"),
        ("semantic_md_inputs", "except concat", "contradicts", "AbsRel 0.311 against 0.304 (contour; 2-head)"),
        ("semantic_md_inputs", "are the best models", "contradicts", "RMSE 1.213 against 1.209 (1hot-20; 1hot-3)"),
        ("semantic_md_inputs", "worst of the inputs", "supports", "RMSE 1.189 against 1.283"),
        ("semantic_md_inputs", "comes close", "supports", "RMSE 1.213 against 1.189"),
        ("semantic_md_heads", "comparable to the baseline", "supports", "RMSE 1.243 against 1.246"),
        ("region_support_quoted", "all metrics but log", "supports", "AbsRel 0.0851 against 0.143"),
        ("region_support_quoted", "rows of natural logarithms", "supports", "0.1057 against 0.283"),
        ("region_support_quoted", "reaches the best", "contradicts", "0.792 against 0.811"),
        ("region_support_refinement", "far off in RMSE", "supports", "RMSE 0.7367 against 1.29"),
        ("region_support_refinement", "similar to depth", "supports", "δ1 0.615 against 0.6517"),
        ("mti_net_quoted", "competitive", "contradicts", "0.6217 against 0.728"),
        ("semantic_md_inputs", "12.86 %", "supports", "printed 12.86 %: AbsRel 0.271 against 0.311"),
        ("semantic_md_inputs", "Contours alone", "equal", "AbsRel 0.311 against 0.311"),
        ("semantic_md_heads", "in most metrics", "supports", "RMSE 1.243 against 1.289"),
        ("shed", "boundaries are found", "supports", "ε_c truncated (px) 0.608 against 1.438 (shed; dpt)"),
        ("shed", "34 %", "supports", "printed 33.8 %: scene recall@1 0.605 against 0.452"),
        ("shed_cross_domain", "in most metrics", "supports", "δ1 0.632 against 0.592"),
        ("shed_design", "Spatial reduction", "not printed", ""),
        ("mti_net_quoted", "earlier methods", "contradicts", "pixel acc. 0.6217 against 0.700 (Ours; Context)"),
        ("mti_net", "more accurate than depth alone", "not printed", ""),
    ],
)
def test_what_the_papers_print(file, text, verdict, figures):
    outcome = printed(file, text)
    assert outcome.verdict == verdict
    assert figures in outcome.text()


def test_figures_that_are_doubted_are_starred_and_explained():
    outcome = printed("shed_cross_domain", "in most metrics")
    assert "AbsRel 0.583 against 0.749 (shed; depth anything v2)*" in outcome.text()
    assert "δ1 0.632 against 0.592 (shed; depth anything v2);" in outcome.text()
    assert any("cannot stand beside" in note for note in outcome.notes)
    assert outcome.text(1).endswith("; 5 more")


def test_a_part_of_the_comparisons_that_is_printed_is_said_to_be_one():
    """SHED's Fig. 5 prints one of the six recalls for both methods."""
    assert printed("shed", "better in all settings").text().endswith("; 1 of 6 printed")
    assert "printed" not in printed("shed_cross_domain", "in most metrics").text()


def test_zero_shot_claims_are_of_other_data_than_hypersim():
    """Files of the suite name their test sets, which the patterns are matched with."""
    (first, *_), *_ = (claim.comparisons for claim in read_claims(CLAIMS / "shed_cross_domain.yaml").claims)
    pattern = first.metric.rpartition("/")[0]
    sets = ["nyuv2", "rooms", "rooms_nyuv2", "hypersim", "rooms_hypersim", "nyuv2_oc"]
    assert [fnmatchcase(name, pattern) for name in sets] == [True, True, True, False, False, False]


def test_rows_of_other_data_are_not_compared_by_themselves():
    """Table 2 of SHED has rows trained on NYUv2 and on HyperSim: arms of both have no printed comparison."""
    spec = read_claims(CLAIMS / "shed_cross_domain.yaml")
    arms = {"one": ("shed_hybrid",), "two": ("depth_anything_v2_small_hypersim",)}
    comparison = spec.claims[0].comparisons[0]
    mixed = type(spec)(spec.title, spec.paper, spec.seeds, arms, spec.claims)
    claim = type(spec.claims[0])("", "", (type(comparison)("one", "two", "delta1", Direction.higher),))
    assert printed_pairs(mixed, claim) == [[]]


def test_named_rows_of_the_same_data_are_preferred_and_others_are_compared_where_there_are_none():
    """SHED's Table 2 has two rows of that name; Region Support quotes figures of other data."""
    spec = read_claims(CLAIMS / "shed.yaml")
    comparison = PrintedComparison("SHED", "DPT", "delta1", "delta1", Direction.higher)
    ((found,),) = printed_pairs(spec, Claim("", "", (), printed=(comparison,)))
    assert (found.arm, found.than, found.place) == ("0.846", "0.839", "SHED, Table 2, NYUv2")
    outcome = printed("region_support_quoted", "in relative error")
    assert outcome.pairs[0].place == "Region Support Network, Table 2, NYU V1+V2 against NYU"


def test_every_paper_is_held_against_its_tables():
    verdicts = {}
    for path in claim_files():
        spec = read_claims(path)
        verdicts.setdefault(spec.paper, []).extend(judge_printed(spec, claim).verdict for claim in spec.claims)
    assert set(verdicts) == {"shed", "semantic_md", "mti_net", "region_support"}
    assert all("supports" in found for found in verdicts.values())
