"""Claims files: those of the suite, and one line for each mistake."""

import re

import pytest
import yaml

from experiments.claims_file import CLAIMS, find_claims, read_claims
from experiments.claims_spec import Comparison, Direction
from experiments.compose import ConfigError, experiment_names

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
def test_files_of_the_suite(path):
    spec = read_claims(find_claims(path.stem))
    assert {spec.arm_words(arm)[0] for arm in spec.arms} <= set(experiment_names())


def test_what_is_read(tmp_path):
    spec = read_claims(write(tmp_path, claims=[{**CLAIM, "margin": -1}]))
    assert spec.arm_words("new") == ["shed_hybrid", "--config", "superpixels/8", "--model.init_args.width=32"]
    assert spec.claims[0].comparisons == (Comparison("new", "old", "rmse", Direction.lower, -1.0),)
    assert read_claims(write(tmp_path)).claims[0].comparisons[0].margin == 0.0


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
    with pytest.raises(ConfigError, match="not YAML"):
        read_claims(path)
    path.write_text("- a list")
    with pytest.raises(ConfigError, match="a claims file is a mapping"):
        read_claims(path)
    with pytest.raises(ConfigError, match=r"no claims `nowhere`; there are .*shed"):
        find_claims("nowhere")
