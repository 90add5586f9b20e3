"""Claims files: those of the suite, and one line for each mistake."""

import re
import shlex
from pydoc import locate

import pytest
import yaml

from experiments.config.arguments import take_flag
from experiments.config.class_arguments import argument_names
from experiments.config.compose import ConfigError, compose, experiment_names
from experiments.judging.claim import Comparison, Direction, Percentage, PrintedComparison, Quantifier, Relation, Stated
from experiments.judging.claims_file import CLAIMS, find_claims, read_claims

CLAIM = {
    "text": "better", "source": "Table 1", "metric": "rmse", "direction": "lower", "arm": "new", "than": "old"
}  # fmt: skip
SPEC = {
    "title": "New against old", "paper": "shed", "seeds": [0, 1, 2],
    "arms": {"old": "dpt_hybrid", "new": "shed_hybrid --config superpixels/8 --model.init_args.width=32"},
    "claims": [CLAIM],
}  # fmt: skip


def write(folder, **changes):
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({**SPEC, **changes}, sort_keys=False))
    return path


@pytest.mark.parametrize("path", sorted(CLAIMS.glob("*.yaml")), ids=lambda path: path.stem)
def test_arms_of_the_suites_files_can_be_run(path, monkeypatch):
    """Each composes on Rooms, and its flags are arguments of its method."""
    monkeypatch.delenv("DATA_ROOT", raising=False)
    spec = read_claims(find_claims(path.stem))
    for words in (shlex.split(part) for parts in spec.arms.values() for part in parts):
        assert words[0] in experiment_names()
        configs, flags = take_flag(words[1:], "--config")
        method = compose([words[0], *configs, "data/rooms"]).config["model"]["class_path"]
        keys = {flag.partition("=")[0].removeprefix("--model.init_args.") for flag in flags}
        assert keys <= argument_names(locate(method))


def test_what_is_read(tmp_path):
    spec = read_claims(write(tmp_path, claims=[{**CLAIM, "margin": -1}]))
    assert spec.arm_words("new") == ["shed_hybrid", "--config", "superpixels/8", "--model.init_args.width=32"]
    assert spec.claims[0].comparisons == (Comparison("new", "old", "rmse", Direction.lower, -1.0),)
    assert read_claims(write(tmp_path)).claims[0].comparisons[0].margin == 0.0


def test_lists_are_all_with_all_and_pairs_are_as_they_stand(tmp_path):
    arms = {name: f"{name}_experiment" for name in "abcd"}
    crossed = {**CLAIM, "arm": ["a", "b"], "than": ["c", "d"], "metric": ["rmse", "delta1"], "of": "most"}
    del crossed["direction"]
    (claim,) = read_claims(write(tmp_path, arms=arms, claims=[crossed])).claims
    assert claim.of is Quantifier.most
    assert [(c.arm, c.than, c.metric) for c in claim.comparisons] == [
        (arm, than, metric) for arm in "ab" for than in "cd" for metric in ("rmse", "delta1")
    ]
    assert {c.metric: c.direction for c in claim.comparisons} == {"rmse": Direction.lower, "delta1": Direction.higher}
    paired = {**CLAIM, "pairs": [["a", "c"], ["b", "d"]]}
    del paired["arm"], paired["than"]
    (claim,) = read_claims(write(tmp_path, arms=arms, claims=[paired])).claims
    assert [(c.arm, c.than) for c in claim.comparisons] == [("a", "c"), ("b", "d")]


def test_what_is_printed_and_stated(tmp_path):
    printed = {"arm": "SHED", "than": ["DPT"], "metric": "abs_rel"}
    claim = {"text": "t", "source": "s", "printed": printed, "percent": 12.5, "relation": "more_than"}
    spec = read_claims(write(tmp_path, arms={}, seeds=[], claims=[{**claim, "percent_of": "share"}]))
    (read,) = spec.claims
    assert read.comparisons == ()
    assert read.printed == (PrintedComparison("SHED", "DPT", "abs_rel", "abs_rel", Direction.lower),)
    assert read.stated == Stated("12.5", Relation.more_than, Percentage.share)


def test_costs_need_no_seeds_and_may_be_of_sums(tmp_path):
    arms = {"old": ["dpt_hybrid", "shed_hybrid --model.init_args.width=32"], "new": "shed_hybrid"}
    cost = {"text": "t", "source": "s", "metric": "cost/gflops", "arm": "new", "than": "old"}
    spec = read_claims(write(tmp_path, arms=arms, seeds=[], claims=[cost]))
    assert spec.trained == []
    assert spec.arms["old"] == ("dpt_hybrid", "shed_hybrid --model.init_args.width=32")
    assert spec.claims[0].comparisons[0].is_cost
    assert spec.claims[0].comparisons[0].direction is Direction.lower


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"extra": 1}, "key `extra`"),
        ({"title": None}, "key `title`"),
        ({"paper": "other"}, "key `paper`: need one of shed"),
        ({"seeds": [0, 1]}, "key `seeds`: need 3 different ones"),
        ({"seeds": [0, 1, 1]}, "key `seeds`: need 3 different ones"),
        ({"seeds": "three"}, "key `seeds`"),
        ({"arms": {"old": "dpt_hybrid", "new": {"experiment": "shed_hybrid"}}}, "key `arms.new`: need an experiment"),
        ({"arms": {"old": "dpt_hybrid", "new": "--config shed_hybrid"}}, "key `arms.new`: the experiment comes first"),
        ({"claims": []}, "key `claims`: need a list"),
        ({"claims": ["better"]}, "key `claims[0]`: need a mapping"),
        ({"claims": [CLAIM, {**CLAIM, "direction": "up"}]}, "key `claims[1].direction`: Invalid value 'up'"),
        ({"claims": [{**CLAIM, "margni": 1}]}, "key `claims[0].margni`"),
        ({"claims": [{**CLAIM, "margin": "big"}]}, "key `claims[0].margin`"),
        ({"claims": [{**CLAIM, "than": "elder"}]}, "key `claims[0].than`: no arm `elder`; arms: old, new"),
        ({"claims": [{**CLAIM, "than": "new"}]}, "key `claims[0].than`: `new` is compared with itself"),
        ({"claims": [{key: CLAIM[key] for key in CLAIM if key != "metric"}]}, "missing mandatory value: metric"),
        ({"claims": [{**CLAIM, "arm": None}]}, "key `claims[0].arm`: need `arm` and `than`, or `pairs`"),
        ({"claims": [{**CLAIM, "pairs": [["new"]]}]}, "key `claims[0].pairs`: need pairs `[arm, than]`"),
        ({"claims": [{**CLAIM, "of": "some"}]}, "key `claims[0].of`: Invalid value 'some'"),
        ({"claims": [{**CLAIM, "metric": "cost/time"}]}, "key `claims[0].metric`: no cost `cost/time`"),
        (
            {"claims": [{**CLAIM, "metric": "region_share", "direction": None}]},
            "key `claims[0].direction`: need lower or higher",
        ),
        ({"claims": [{**CLAIM, "percent": "many"}]}, "key `claims[0].percent`: need a number"),
        ({"arms": {**SPEC["arms"], "third": "dpt_hybrid"}}, "key `arms.third`: no claim is of it"),
        (
            {"arms": {"old": ["dpt_hybrid", "shed_hybrid"], "new": "shed_hybrid"}},
            "key `claims[0].metric`: `old` is a sum of experiments, of which only cost/parameters",
        ),
        (
            {"claims": [{**CLAIM, "printed": {"arm": "SHEDD", "than": "DPT", "metric": "rmse"}}]},
            "key `claims[0].printed.arm`: no row `SHEDD` of shed in published.csv",
        ),
        (
            {"claims": [{**CLAIM, "printed": {"arm": "SHED", "than": "DPT", "metric": "RMSE"}}]},
            "key `claims[0].printed.metric`: no metric `RMSE` in published.csv",
        ),
    ],
)
def test_a_mistake_is_one_line(tmp_path, changes, complaint):
    path = write(tmp_path, **changes)
    with pytest.raises(ConfigError, match=re.escape(complaint)) as caught:
        read_claims(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("title: [")
    with pytest.raises(ConfigError, match=r"line \d is not valid YAML"):
        read_claims(path)
    path.write_text("- a list")
    with pytest.raises(ConfigError, match="a claims file is a mapping"):
        read_claims(path)
    with pytest.raises(ConfigError, match=r"no claims `nowhere`; there are .*shed"):
        find_claims("nowhere")
