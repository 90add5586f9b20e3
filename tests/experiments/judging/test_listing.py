"""`segdepth claims --list`: what finished runs say of each claim, found without flags and without running anything."""

import json
from pathlib import Path

import pytest
import yaml

from experiments.grid import grid_runner as sweep_grid
from experiments.judging import listing as claims_list
from experiments.judging.claims import claim_jobs
from experiments.judging.claims_file import read_claims
from experiments.judging.listing import list_claims
from experiments.judging.outcomes import claim_states, judge_claims
from tests.helpers.commands import command
from tests.helpers.synthetic_runs import write_run

claims = command("claims")


CLAIM = {"text": "Errors are smaller", "source": "Table 9", "metric": "rmse", "arm": "new", "than": "old"}
SPEC = {
    "title": "New against old", "paper": "shed", "seeds": [0, 1, 2],
    "arms": {"old": "dpt_hybrid", "new": "shed_hybrid", "wide": "shed_hybrid --model.init_args.width=32"},
    "claims": [
        CLAIM,
        {**CLAIM, "text": "Most are better", "of": "most", "metric": ["rmse", "delta1", "abs_rel"], "arm": "wide"},
        {
            "text": "As printed", "source": "Table 2",
            "printed": {"arm": "SHED", "than": "DPT", "metric": "delta1"},
        },
    ],
}  # fmt: skip
EXTRA = ["--config", "data/rooms", "--config", "profile/quick", "--trainer.max_epochs=2"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a claims file, where nothing can be run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("DATA_ROOT", raising=False)
    monkeypatch.setattr(sweep_grid, "PROGRAM", ("nothing",))
    Path("mine.yaml").write_text(yaml.safe_dump(SPEC, sort_keys=False))
    return tmp_path


def finish(extra, figures, profile="quick", skip=()):
    """Leave the runs of the file with made-up figures: arm to metric to figure, a thousandth more for each seed."""
    for (arm, seed), job in claim_jobs(read_claims(Path("mine.yaml")), Path("runs"), extra).items():
        if (arm, seed) in skip:
            continue
        write_run(job.folder, seed=seed, dataset="rooms", frames=1, steps=1, pictures=False)
        values = {f"test/rooms/{name}": value + seed / 1000 for name, value in figures[arm].items()}
        (job.folder / "metrics.json").write_text(json.dumps(values))
        environment = json.loads((job.folder / "environment.json").read_text())
        environment |= {"command": " ".join(["segdepth", *job.command()]), "profile": profile}
        (job.folder / "environment.json").write_text(json.dumps(environment))


def listed(extra=None):
    """Text of each claim to what is measured of it."""
    lines = list_claims({"mine": read_claims(Path("mine.yaml"))}, Path("runs"), extra, claim_jobs)
    return {line.claim.text: [one.text for one in line.measured] for line in lines}


FIGURES = {
    "old": {"rmse": 0.6, "delta1": 0.7, "abs_rel": 0.2},
    "new": {"rmse": 0.5, "delta1": 0.8, "abs_rel": 0.1},
    "wide": {"rmse": 0.5, "delta1": 0.6, "abs_rel": 0.1},
}


def test_without_runs(place):
    assert listed() == {
        "Errors are smaller": ["not run"], "Most are better": ["not run"], "As printed": ["cannot be run"]
    }  # fmt: skip


def test_runs_are_found_by_the_commands_that_made_them(place):
    finish(EXTRA, FIGURES)
    where = "rooms, profile quick, 3 seeds"
    assert listed() == {
        "Errors are smaller": [f"holds ({where})"],
        "Most are better": [f"holds ({where})"],
        "As printed": ["cannot be run"],
    }
    assert listed(EXTRA) == listed()
    assert listed(["--config", "data/rooms"])["Errors are smaller"] == ["not run"]


def test_each_way_to_run_them_is_a_line_of_its_own(place):
    finish(EXTRA, FIGURES)
    worse = {**FIGURES, "new": {"rmse": 0.7, "delta1": 0.8, "abs_rel": 0.1}}
    finish(["--config", "data/rooms"], worse, profile="paper", skip=[("wide", 2)])
    found = listed()
    assert sorted(found["Errors are smaller"]) == [
        "does not hold (rooms, profile paper, 3 seeds)", "holds (rooms, profile quick, 3 seeds)"
    ]  # fmt: skip
    assert "too few runs (5 of 6, rooms, profile paper)" in found["Most are better"]


def test_runs_of_an_arm_alone_are_no_comparison(place):
    finish(EXTRA, FIGURES, skip=[(arm, seed) for arm in ("new", "wide") for seed in (0, 1, 2)])
    assert listed()["Errors are smaller"] == ["not run"]


def test_the_list_is_printed_and_written(place, capsys):
    finish(EXTRA, FIGURES)
    before = sorted(place.rglob("*"))
    claims(["--list", "mine.yaml"])
    output = capsys.readouterr().out
    assert "supports" in output
    assert "δ1 0.846 against 0.839 (SHED; DPT)" in output
    assert "3 claims. By the paper's own tables: 2 supports, 1 not printed." in output
    assert "By runs (the latest): 2 holds, 1 cannot be run." in output
    assert sorted(place.rglob("*")) == before
    claims(["--list", "mine.yaml", "--output", "docs/list.md"])
    text = (place / "docs/list.md").read_text()
    assert "| As printed | Table 2 | supports: δ1 0.846 against 0.839 (SHED; DPT) | cannot be run |" in text
    assert "### New against old (mine)" in text


def test_costs_are_counted_without_runs(place, monkeypatch):
    costs = {("dpt_hybrid",): 100.0, ("shed_hybrid",): 90.0}
    for module in ("outcomes", "report"):
        monkeypatch.setattr(
            f"experiments.judging.{module}.cost_of",
            lambda parts: {"cost/gflops": sum(costs[tuple(words)] for words in parts)},
        )
    cost = {"text": "Cheap", "source": "s", "metric": "cost/gflops", "arm": "new", "than": "old"}
    arms = {"old": "dpt_hybrid", "new": "shed_hybrid", "both": ["dpt_hybrid", "shed_hybrid"]}
    content = [
        cost, {**cost, "text": "By 20", "margin": 20.0}, {**cost, "text": "By 10", "margin": 10.0},
        {**cost, "text": "Together", "arm": "both", "than": "old"},
    ]  # fmt: skip
    Path("mine.yaml").write_text(yaml.safe_dump({"title": "t", "paper": "shed", "arms": arms, "claims": content}))
    assert listed() == {
        "Cheap": ["holds (counted)"], "By 20": ["does not hold (counted)"], "By 10": ["undecided (counted)"],
        "Together": ["does not hold (counted)"],
    }  # fmt: skip
    spec = read_claims(Path("mine.yaml"))
    (outcome, *_), (state, *_) = judge_claims(spec, []), claim_states(judge_claims(spec, []))
    assert outcome.pairs == {0: (90.0, 100.0)}
    assert outcome.interval.mean == outcome.interval.low == -10.0
    assert state.verdict == "holds"
    claims(["mine.yaml"])
    report = (place / "runs/claims/mine/report.md").read_text()
    assert "Costs of networks, which no training decides." in report
    assert "| both | 190.00 |" in report
    assert "| old | 100.00 |" in report
    assert "does not hold" in report
    assert not (place / "runs/claims/mine/report.png").exists()


def test_a_command_without_arguments_names_what_is_wanted(place):
    with pytest.raises(claims_list.ConfigError, match="name one claims file, or `--list`"):
        claims([])
