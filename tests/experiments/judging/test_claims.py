"""`segdepth claims`: what is run, what is not run again, and what the report says of made-up figures."""

import csv
import json
import sys
from pathlib import Path

import matplotlib.image
import pytest
import torch
import yaml

from experiments.__main__ import main
from experiments.comparison.run_records import RunRecord
from experiments.config.compose import ConfigError
from experiments.grid import grid_runner as sweep_grid
from experiments.judging.claim import Comparison, Direction
from experiments.judging.claims import write
from experiments.judging.claims_file import read_claims
from experiments.judging.outcomes import ArmRun, claim_states, judge_claims, matching_keys
from experiments.judging.printed_tables import pairs_of_arms
from experiments.results.table_layout import MINUS
from tests.helpers.commands import command
from tests.helpers.few_callbacks import FEW_CALLBACKS

claims = command("claims")


ROOT = Path(__file__).parents[3]

CLAIM = {
    "text": "Errors are smaller", "source": "Table 9", "metric": "rmse", "direction": "lower",
    "arm": "new", "than": "old",
}  # fmt: skip
SPEC = {
    "title": "New against old", "paper": "shed", "seeds": [0, 1, 2],
    "arms": {"old": "old.yaml", "new": "new.yaml --config wide.yaml --x=2"}, "claims": [CLAIM],
}  # fmt: skip

#: Stands for `python -m experiments`: notes its arguments, and leaves what a test leaves.
FAKE = """
import json, sys
from pathlib import Path

value = lambda name: sys.argv[sys.argv.index(name) + 1]
flags = dict(word.partition("=")[::2] for word in sys.argv if "=" in word)
experiment, seed = Path(value("--config")).stem, int(flags["--seed_everything"])
run = Path(value("--run.root")) / experiment / value("--run.name")
(run / "checkpoints").mkdir(parents=True, exist_ok=True)
with open("starts.txt", "a") as file:
    file.write(json.dumps([experiment, seed, (run / "checkpoints/last.ckpt").exists(), sys.argv[1:]]) + "\\n")
if Path("fail").exists() and seed == 1 and experiment == "new":
    (run / "checkpoints/last.ckpt").touch()
    sys.exit("no good")
rmse = 0.5 + 0.1 * (experiment == "old") + 0.01 * seed
(run / "metrics.json").write_text(json.dumps({"test/rooms/rmse": rmse, "test/rooms/delta1": 1 - rmse}))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a claims file of two arms, and a program that takes no time."""
    for name in ("old", "new", "wide", "data"):
        (tmp_path / f"{name}.yaml").write_text(f"model: {{{name}: 1}}\n")
    (tmp_path / "fake.py").write_text(FAKE)
    describe(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep_grid, "PROGRAM", (sys.executable, str(tmp_path / "fake.py")))
    return tmp_path


def describe(folder, name="two", **changes):
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({**SPEC, **changes}, sort_keys=False))


def starts(folder):
    path = folder / "starts.txt"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_arms_are_run_alike_and_judged(place, capsys):
    claims(["two.yaml", "--root", "out", "--jobs", "1", "--", "--config", "data.yaml", "--trainer.max_epochs=3"])
    assert [start[:2] for start in starts(place)] == [[arm, seed] for seed in (0, 1, 2) for arm in ("old", "new")]
    shared = ["--trainer.max_epochs=3"]
    where = ["--run.root", "out", "--run.name"]
    for experiment, seed, _, words in starts(place):
        own = ["--x=2"] if experiment == "new" else []
        files = ["new.yaml", "wide.yaml", "data.yaml"] if experiment == "new" else ["old.yaml", "data.yaml"]
        configs = [word for file in files for word in ("--config", file)]
        assert words[: words.index("--run.root")] == ["exp", *configs, *shared, *own, f"--seed_everything={seed}"]
        assert words[words.index("--run.root") :][:3] == where
        assert "--run.tags+=claims" in words
    output = capsys.readouterr().out
    assert "holds" in output
    assert "rooms/rmse" in output
    report = (place / "out/claims/two/report.md").read_text()
    assert report.startswith("# New against old: the paper's claims, measured\n")
    less = f"{MINUS}0.1000"
    figures = f"new 0.5100 ± 0.0100 | old 0.6100 ± 0.0100 | {less} [{less}, {less}]"
    assert f"| rooms/rmse ↓ | {figures} | holds |" in report
    assert f"| rooms/rmse | new {MINUS} old | {less} | {less} | {less} | {less} ± 0.0000 |" in report
    assert "| command | segdepth claims two -- --config data.yaml --trainer.max_epochs=3 |" in report
    assert "![" in report
    assert matplotlib.image.imread(place / "out/claims/two/report.png").std() > 0


def test_finished_runs_are_not_made_again_by_any_claims_file(place, capsys):
    claims(["two.yaml"])
    claims(["two.yaml"])
    assert len(starts(place)) == 6
    assert "6 of 6 runs are finished already" in capsys.readouterr().out
    describe(
        place, "three", arms={**SPEC["arms"], "third": "old.yaml --x=5"}, claims=[{**CLAIM, "arm": ["new", "third"]}]
    )
    claims(["three.yaml"])
    assert len(starts(place)) == 9


def test_an_interrupted_comparison_goes_on(place, capsys):
    (place / "fail").touch()
    with pytest.raises(SystemExit) as caught:
        claims(["two.yaml", "--jobs", "1"])
    assert caught.value.code == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("failed: new/seed-1-")
    report = (place / "runs/claims/two/report.md").read_text()
    assert "| undecided |" in report
    assert "new, seed 1: not finished" in report
    assert "5 of 6 runs are finished" in report
    assert "(new)" not in report  # facts are those of the finished runs, which are alike
    (place / "fail").unlink()
    claims(["two.yaml"])
    assert [start[:3] for start in starts(place)[6:]] == [["new", 1, True]]
    assert "| holds |" in (place / "runs/claims/two/report.md").read_text()


def test_a_broken_run_counts_as_one_that_is_not_finished(place, capsys):
    runs = []
    for arm in ("old", "new"):
        run = place / "runs" / arm / "seed-0"
        run.mkdir(parents=True)
        (run / "metrics.json").write_text('{"test/rooms/rmse": 1.0}' if arm == "old" else '{"test/ro')
        runs.append(ArmRun(arm, 0, RunRecord(run)))
    assert [bool(run.metrics) for run in runs] == [True, False]
    assert matching_keys(runs, "rmse") == ["test/rooms/rmse"]
    assert "new/seed-0/metrics.json: not JSON" in capsys.readouterr().err


def test_a_report_of_nothing(place):
    describe(place)
    spec = read_claims(place / "two.yaml")
    runs = [ArmRun(arm, seed, RunRecord(place / arm / str(seed))) for seed in spec.seeds for arm in spec.arms]
    report, figure = write(place / "report.md", spec, runs, "segdepth claims two")
    assert "No run is finished." in report.read_text()
    assert "CPU" not in report.read_text()
    assert figure.is_file()


def test_dry_run_writes_nothing(place, capsys):
    before = sorted(place.rglob("*"))
    claims(["two.yaml", "--dry_run", "--", "--config", "data.yaml"])
    output = capsys.readouterr().out.splitlines()
    assert sorted(place.rglob("*")) == before
    assert [line.rpartition(": ")[2] for line in output[::2]] == ["new"] * 6
    assert output[3].startswith(
        "    segdepth exp --config new.yaml --config wide.yaml --config data.yaml --x=2 --seed_ever"
    )


def test_arms_that_are_one_and_the_same(place):
    describe(place, arms={"old": "old.yaml", "new": "old.yaml"})
    with pytest.raises(ConfigError, match="two arms have the same configuration"):
        claims(["two.yaml", "--dry_run"])


def test_a_discussion_stays(place):
    claims(["two.yaml", "--output", "docs/rooms.md"])
    path = place / "docs/rooms.md"
    assert path.read_text().endswith("## Discussion\n\nNot written yet.\n")
    assert "(rooms.png)" in path.read_text()
    text = path.read_text().replace("Not written yet.", "Errors are smaller\n\n## since\n\nthey are.")
    path.write_text(text)
    claims(["two.yaml", "--output", "docs/rooms.md"])
    assert path.read_text() == text


def judged(folder, figures, spec=None, tables=None):
    """Outcomes of made-up ``metrics.json``: arm and seed to its content, None for a run that is not finished."""
    describe(folder, **(spec or {}))
    runs = []
    for (arm, seed), content in figures.items():
        run = folder / "runs" / arm / f"seed-{seed}"
        run.mkdir(parents=True)
        if content is not None:
            (run / "metrics.json").write_text(json.dumps(content))
        if tables is not None:
            with (run / "per_image.csv").open("w", newline="") as file:
                csv.writer(file).writerows([["dataset", "index", "scene", "frame", "rmse"], *tables[arm, seed]])
        runs.append(ArmRun(arm, seed, RunRecord(run)))
    return judge_claims(read_claims(folder / "two.yaml"), runs)


def figures(old, new, key="test/rooms/rmse"):
    return {
        (arm, seed): {key: value} for arm, values in (("old", old), ("new", new)) for seed, value in enumerate(values)
    }


def test_variants_of_a_test_set_are_judged_only_where_they_are_named(place):
    content = {"test/rooms/rmse": 1.0, "test/rooms_whole/rmse": 2.0, "test/rooms_noise2/rmse": 3.0}
    described = [{"name": f"rooms_{name}", "variant": name} for name in ("whole", "noise2")]
    runs = []
    for arm in ("old", "new"):
        run = place / "runs" / arm / "seed-0"
        run.mkdir(parents=True)
        (run / "metrics.json").write_text(json.dumps(content))
        (run / "environment.json").write_text(json.dumps({"data": {"name": "rooms", "variants": described}}))
        runs.append(ArmRun(arm, 0, RunRecord(run)))
    assert matching_keys(runs, "rmse") == ["test/rooms/rmse"]
    assert matching_keys(runs, "noise2/rmse") == ["test/rooms_noise2/rmse"]
    assert matching_keys(runs, "rooms_whole/rmse") == ["test/rooms_whole/rmse"]
    assert matching_keys(runs, "rooms/rmse") == ["test/rooms/rmse"]
    assert matching_keys(runs, "noise3/rmse") == []


@pytest.mark.parametrize(
    ("old", "new", "verdict", "reason"),
    [
        ([0.60, 0.61, 0.62], [0.50, 0.52, 0.51], "holds", ""),
        ([0.50, 0.52, 0.51], [0.60, 0.61, 0.62], "does not hold", ""),
        ([0.60, 0.50, 0.55], [0.55, 0.60, 0.50], "undecided", ""),
        ([0.60, 0.61, 0.62], [0.50, None, 0.51], "undecided", "new, seed 1: not finite"),
    ],
)
def test_verdicts(place, old, new, verdict, reason):
    (outcome,) = judged(place, figures(old, new))
    assert (outcome.key, outcome.verdict, outcome.reason) == ("test/rooms/rmse", verdict, reason)
    assert outcome.scenes is None


def test_a_pair_that_is_lacking_leaves_the_others_shown(place):
    content = figures([0.60, 0.61, 0.62], [0.50, 0.52, 0.51])
    content["old", 2] = None
    content["new", 0] = {"test/rooms/mae": 0.1}
    (outcome,) = judged(place, content)
    assert outcome.verdict == "undecided"
    assert outcome.reason == "new, seed 0: has no `test/rooms/rmse`; old, seed 2: not finished"
    assert outcome.interval.mean == pytest.approx(0.52 - 0.61)


def test_each_test_set_is_judged_for_itself_unless_one_is_named(place):
    both = {
        key: {**content, "test/far/rmse": 1 - content["test/near/rmse"], "test/near/object_rmse": 9.0}
        for key, content in figures([0.60, 0.61, 0.62], [0.50, 0.52, 0.51], "test/near/rmse").items()
    }
    spec = {"claims": [CLAIM, {**CLAIM, "metric": "far/rmse"}, {**CLAIM, "metric": "nothing"}]}
    outcomes = judged(place, both, spec)
    assert [(outcome.key, outcome.dataset, outcome.verdict) for outcome in outcomes] == [
        ("test/far/rmse", "far", "does not hold"),
        ("test/near/rmse", "near", "holds"),
        ("test/far/rmse", "far", "does not hold"),
        ("nothing", "", "undecided"),
    ]
    assert "new, seed 0: has no `nothing`" in outcomes[-1].reason


def test_a_test_set_may_be_a_pattern(place):
    content = figures([0.60, 0.61, 0.62], [0.50, 0.52, 0.51], "test/rooms_blur2/rmse")
    outcomes = judged(
        place, content, {"claims": [{**CLAIM, "metric": "*_blur2/rmse"}, {**CLAIM, "metric": "blur2/rmse"}]}
    )
    assert [(outcome.key, outcome.verdict) for outcome in outcomes] == [
        ("test/rooms_blur2/rmse", "holds"), ("blur2/rmse", "undecided")
    ]  # fmt: skip


def test_a_claim_of_several_comparisons_has_one_verdict_a_test_set(place):
    content = figures([0.60, 0.61, 0.62], [0.50, 0.52, 0.51])
    for (arm, seed), values in content.items():
        values["test/rooms/delta1"] = 0.9 - 0.1 * (arm == "new") + 0.001 * seed  # worse
        values["test/far/rmse"] = values["test/rooms/rmse"]
    both = {**CLAIM, "metric": ["rmse", "delta1"]}
    del both["direction"]
    spec = {"claims": [{**both, "of": of} for of in ("all", "most", "any")]}
    states = claim_states(judged(place, content, spec))
    assert [(state.claim.of.value, state.dataset, state.verdict) for state in states] == [
        ("all", "far", "holds"), ("all", "rooms", "does not hold"),
        ("most", "far", "holds"), ("most", "rooms", "does not hold"),
        ("any", "far", "holds"), ("any", "rooms", "holds"),
    ]  # fmt: skip


def test_scenes_are_averaged_over_frames_and_seeds(place):
    content = figures([0.60, 0.61, 0.62], [0.50, 0.52, 0.51])
    tables = {}
    for arm, seed in content:
        scale = -1.0 if arm == "new" else 1.0
        frames = [("a", 0, 1.0), ("a", 1, 3.0), ("b", 0, 5.0 + seed), ("c", 0, "")]  # none of c was measured
        tables[arm, seed] = [
            ["rooms", index, scene, frame, value and scale * value]
            for index, (scene, frame, value) in enumerate(frames)
        ]
    (outcome,) = judged(place, content, tables=tables)
    assert outcome.scenes.scenes == 2
    assert outcome.scenes.interval.mean == pytest.approx((-2 * 2.0 + -2 * 6.0) / 2)


def test_published_figures_of_the_same_experiments():
    spec = read_claims(ROOT / "experiments/claims/shed.yaml")

    def pairs(spec, metric, arm, than):
        return pairs_of_arms(spec, Comparison(arm, than, metric, Direction.lower))

    (pair,) = pairs(spec, "boundary_acc", "shed", "dpt")
    assert (pair.place, pair.arm, pair.than) == ("SHED, Table 1, NYUv2-OC++", "5.713", "6.395")
    assert pairs(spec, "nyuv2/delta1", "shed", "dpt")[0].arm == "0.846"
    (pair,) = pairs(spec, "chamfer_pred_to_gt", "shed", "dpt")  # the printed figure stands under both definitions
    assert (pair.label, pair.arm) == ("ε_a untruncated (px)", "5.713")
    assert pairs(spec, "object_roughness", "shed", "dpt") == []
    other = read_claims(ROOT / "experiments/claims/shed_readout.yaml")
    assert pairs(other, "delta1", "project", "ignore") == []  # no row of the paper has these flags


@pytest.mark.slow
@pytest.mark.timeout(1800)  # several runs, on machines that others use too
def test_real_runs_have_every_figure_of_sheds_claims(workplace, capsys, monkeypatch):
    """Rooms through both methods at their smallest: each claim finds its figure in each run."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    small = {"height": 48, "width": 64, "train_scenes": 4, "test_scenes": 2, "frames_per_scene": 2}
    rooms = {
        "data": {"init_args": {"root": str(workplace / "rooms"), "rooms": small}},
        "trainer": {"callbacks": FEW_CALLBACKS},
    }
    (workplace / "rooms.yaml").write_text(yaml.safe_dump(rooms))
    content = yaml.safe_load((ROOT / "experiments/claims/shed.yaml").read_text())
    for arm, words in content["arms"].items():
        if words.startswith("shed"):
            content["arms"][arm] = f"{words} --model.init_args.segments=[6,4,2]"
    (workplace / "shed.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    configs = ("data/rooms", "profile/quick", "tiny.yaml", "rooms.yaml")
    main(["claims", "shed.yaml", "--jobs", "2", "--", *(word for name in configs for word in ("--config", name))])
    output = capsys.readouterr().out
    report = (workplace / "runs/claims/shed/report.md").read_text()
    assert "not finished" not in report
    assert "has no" not in report
    undefined = [line for line in report.splitlines() if "not finite" in line]
    # of six segments on 48x64 pixels none is a plane of one wall
    assert all(line.startswith("- wall_flatness: ") for line in undefined), undefined
    assert "**Rooms**" in report
    assert "on a **CPU**" in report or torch.cuda.is_available()
    assert "8 frames" not in report.partition("All runs")[0]
    assert (
        "rooms: 4 frames of 2 scenes to train, 4 frames of 2 scenes to validate, 4 frames of 2 scenes to test" in report
    )
    assert "model.init_args.segments" in report.partition("Options in which the arms differ")[2]
    assert "rooms/scene_recall@1" in output
