"""A test under other options than the run's own stands beside its figures, and is never taken for them."""

import csv
import json
import shutil

import pytest
import yaml

from experiments.__main__ import main
from experiments.results.changed_tests import changes, name_of
from experiments.results.run_folder import RUN_ENVIRONMENT
from tests.experiments.train.test_resume import EXPERIMENT
from tests.helpers.tiny_nyu import write_tiny_nyu

RUN = "runs/tiny/one"


def work_in(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DATA_ROOT", str(folder / "data"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv(RUN_ENVIRONMENT, "")
    monkeypatch.delenv(RUN_ENVIRONMENT)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A place with data and a finished run of the profile `small`."""
    folder = tmp_path_factory.mktemp("place")
    write_tiny_nyu(folder / "data" / "nyuv2", frames=6)
    content = {**EXPERIMENT, "profile": "small", "profiles": {"small": {"trainer": {"max_epochs": 1}}}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as monkeypatch:
        work_in(folder, monkeypatch)
        main(["exp", "--config", "tiny.yaml", "--run.name", "one"])
    return folder


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    """Folder of the run in a copy of the place, in which commands work."""
    shutil.copytree(finished, tmp_path / "copy")
    work_in(tmp_path / "copy", monkeypatch)
    return tmp_path / "copy" / RUN


def figures(folder):
    return json.loads((folder / "metrics.json").read_text())


def retest(*flags):
    main(["test", "--config", f"{RUN}/config.yaml", "--ckpt_path", "best", *flags])


def test_other_options_stand_beside(run, capsys, caplog):
    own, rows = figures(run), (run / "per_image.csv").read_text()
    retest("--model.init_args.protocol.max_depth", "4.0", "--run.test_name", "near")
    assert figures(run) == own
    assert (run / "per_image.csv").read_text() == rows
    beside = run / "tests" / "near"
    assert figures(beside)["test/nyuv2/abs_rel"] != own["test/nyuv2/abs_rel"]
    assert yaml.safe_load((beside / "config.yaml").read_text())["model"]["init_args"]["protocol"]["max_depth"] == 4.0
    caplog.clear()
    retest("--trainer.limit_test_batches", "1")
    (named,) = (path for path in (run / "tests").iterdir() if path.name.startswith("limit_test_batches-1-"))
    assert figures(run) == own
    assert f"--test {named.name}" in caplog.text
    capsys.readouterr()

    for shown, wanted in (([], own), (["--test", "near"], figures(beside))):
        main(["compare", "--html", "false", "--wandb", "false", "--metrics", "abs_rel", *shown])
        assert f"{wanted['test/nyuv2/abs_rel']:.4f}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["compare", "--test", "naer"])
    assert "did you mean `near`" in capsys.readouterr().err


def test_the_same_options_take_the_place_and_keep_the_profile(run):
    own = figures(run)
    retest("--data.init_args.num_workers", "1", "--data.init_args.eval_batch_size", "2")
    assert figures(run).keys() == own.keys()
    assert not (run / "tests").exists()
    records = sorted(run.glob("environment*.json"))
    assert [json.loads(path.read_text())["profile"] for path in records] == ["small", "small"]


def test_the_profile_of_a_run_that_saved_none(run):
    content = yaml.safe_load((run / "config.yaml").read_text())
    del content["run"]["profile"]
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    retest()
    assert json.loads((run / "environment-test-nyuv2.json").read_text())["profile"] == "small"
    (run / "environment.json").unlink()
    retest()
    assert json.loads((run / "environment-test-nyuv2.json").read_text())["profile"] == "unknown"


def test_rows_of_another_data_set_stay(run):
    path = run / "per_image.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows([{**rows[0], "dataset": "another"}, *rows])
    retest()
    with path.open(newline="") as file:
        assert [row["dataset"] for row in csv.DictReader(file)] == ["another", *(row["dataset"] for row in rows)]


def test_what_counts_as_a_change(tmp_path):
    own = {
        "model": {"class_path": "SHED", "init_args": {"width": 8, "protocol": {"name": "a"}, "pretrained": True}},
        "data": {"class_path": "NYUv2", "init_args": {"superpixels": {"class_path": "x.Seeds"}, "num_workers": 2}},
        "trainer": {"precision": "32-true", "max_epochs": 3}, "run": {"tested": "best"},
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(own))
    assert changes(own, tmp_path) == {}
    new = json.loads(json.dumps(own))
    new["model"]["init_args"] |= {"pretrained": False, "new_option": 1}
    new["data"]["init_args"]["num_workers"] = 0
    new["trainer"]["max_epochs"] = 5
    assert changes(new, tmp_path) == {}
    new["data"]["init_args"]["superpixels"] = None
    new["model"]["init_args"]["protocol"]["name"] = "b/[c]"
    new["trainer"]["precision"] = "bf16-mixed"
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").touch()
    new["ckpt_path"] = str(tmp_path / "checkpoints" / "last.ckpt")
    changed = changes(new, tmp_path)
    assert changed == {
        "protocol.name": "b/[c]", "data.init_args.superpixels": None,
        "trainer.precision": "bf16-mixed", "ckpt_path": "last",
    }  # fmt: skip
    (tmp_path / "checkpoints" / "best.ckpt").unlink()
    assert "ckpt_path" not in changes(new, tmp_path)
    assert changes({**own, "ckpt_path": "elsewhere/best.ckpt"}, tmp_path) == {"ckpt_path": "best"}
    assert name_of(changed).startswith("superpixels-none_name-b-c-_precision-bf16-mixed_ckpt_path-la")
    assert name_of(changed) != name_of({**changed, "ckpt_path": "other"})


@pytest.mark.parametrize("evaluation", [{"groups": ["depth"]}, None])
def test_a_switch_that_a_run_does_not_know_was_off(tmp_path, evaluation):
    """A run recorded before `flip_uncertainty` was there is not tested with it as if nothing had changed."""

    def config(options):
        given = {} if options is None else {"evaluation": options}
        return {"data": {"class_path": "x.NYUv2DataModule"}, "model": {"class_path": "x.Y", "init_args": given}}

    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config(evaluation)))
    off, on = ({**(evaluation or {}), "flip_uncertainty": value} for value in (False, True))
    assert changes(config(off), tmp_path) == {}
    assert changes(config(on), tmp_path) == {"model.init_args.evaluation.flip_uncertainty": True}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config(on)))
    assert changes(config(on), tmp_path) == {}


def test_further_test_sets_are_compared_with_their_own_records(tmp_path):
    further = {"class_path": "IBims", "init_args": {"layout": "mat"}}
    own = {
        "model": {"init_args": {"protocol": {"name": "a"}, "test_protocols": [{"name": "b"}]}},
        "data": {"class_path": "NYUv2", "init_args": {"extra_tests": [further]}},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(own))
    alone = {"model": {"init_args": {"protocol": {"name": "b"}}}, "data": further}
    assert changes(alone, tmp_path) == {}
    alone["model"]["init_args"]["protocol"] = {"name": "c"}
    assert changes(alone, tmp_path) == {"protocol.name": "c"}
    another = {"model": {"init_args": {"protocol": {"name": "c"}}}, "data": {"class_path": "HyperSim"}}
    assert changes(another, tmp_path) == {}


def test_a_run_that_is_trained_anew_keeps_no_figures_of_the_one_before(run):
    own, rows = figures(run), (run / "per_image.csv").read_text()
    retest("--trainer.limit_test_batches", "1", "--run.test_name", "short")
    main(["fit", "--config", "tiny.yaml", "--run.name", "one", "--seed_everything", "5"])
    assert not (run / "metrics.json").exists()
    assert not (run / "tests").exists()
    (earlier,) = (run / "earlier").iterdir()
    assert figures(earlier) == own
    assert (earlier / "per_image.csv").read_text() == rows
    assert json.loads((earlier / "environment.json").read_text())["seed"] == 0
    assert json.loads((run / "environment.json").read_text())["seed"] == 5


def test_a_trial_of_a_few_batches_leaves_no_figures(run):
    main(["exp", "--config", "tiny.yaml", "--run.name", "trial", "--trainer.fast_dev_run", "true"])
    trial = run.with_name("trial")
    assert not (trial / "metrics.json").exists()
    assert not (trial / "per_image.csv").exists()
