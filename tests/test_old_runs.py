"""Runs made before the packages were rearranged still load: checkpoints, configurations and records.

`fixtures/earlier_runs/README.md` says how they were made. Commands and public class paths alone are used here.
"""

import json
import lzma
import math
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback

from datamodules import DepthDataModule
from experiments.__main__ import main
from lightning_modules import DepthModule
from tests.helpers.few_callbacks import FEW_CALLBACKS_ONLY
from tests.helpers.tiny_nyu import write_tiny_nyu

FIXTURES = Path(__file__).parent / "fixtures"
RUNS = FIXTURES / "earlier_runs"
CONFIGS = sorted((FIXTURES / "earlier_configs").glob("*.yaml"))
EXPERIMENTS = sorted(path.parent.name for path in RUNS.glob("*/before"))
#: Of all methods, the one whose tests are not slow.
FAST = "dpt_hybrid"
#: How training goes on for an epoch, by experiment: a plain method and one that is trained in stages.
ONE_EPOCH_MORE = {
    "cast_small": (["--trainer.max_epochs", "2"], 0),
    "region_support_end_to_end": (["--model.init_args.stage_epochs.end_to_end", "2"], 8),
}


def slow_but(fast, names):
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The tiny data, and the old runs with their checkpoints unpacked."""
    folder = tmp_path_factory.mktemp("old")
    write_tiny_nyu(folder / "data" / "nyuv2")
    for name in EXPERIMENTS:
        shutil.copytree(RUNS / name, folder / "runs" / name)
    for packed in (folder / "runs").rglob("*.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()
    return folder


@pytest.fixture
def place(unpacked, tmp_path, monkeypatch):
    """A copy of them to work in."""
    shutil.copytree(unpacked, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_ROOT", "data")
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("SEGDEPTH_RUN", raising=False)
    return tmp_path


def figures(folder):
    return json.loads((folder / "metrics.json").read_text())


def checkpoint(run, name):
    return torch.load(run / "checkpoints" / name, weights_only=True)


def assert_close(new, old):
    assert old.keys() <= new.keys()
    for key, value in old.items():
        if value is None or not math.isfinite(value):
            assert new[key] == value or new[key] is None, key
        else:
            assert new[key] == pytest.approx(value, rel=1e-5, abs=1e-5), key


def instantiate(kind, section):
    """An object as the command line builds it, from its `class_path` and `init_args`."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, "made")
    return parser.instantiate(parser.parse_object({"made": section})).made


def printed_config(capsys, *arguments):
    """What the command says it would run with."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--print_config"])
    output = capsys.readouterr()
    assert not end.value.code, output.err
    return yaml.safe_load(output.out)


def of_this_machine(section):
    """A method without weights from the hub, which no test fetches."""
    arguments = section["init_args"]
    return {**section, "init_args": {**arguments, "pretrained": False}}


@pytest.mark.parametrize("name", slow_but([FAST], EXPERIMENTS))
def test_a_checkpoint_gives_the_old_figures(place, name):
    run = place / "runs" / name / "before"
    tested = yaml.safe_load((run / "config.yaml").read_text())["run"]["tested"]
    old, rows = figures(run), (run / "per_image.csv").read_text().splitlines()
    (run / "metrics.json").unlink()
    (run / "per_image.csv").unlink()
    main([
        "test", "--config", f"runs/{name}/before/config.yaml",
        "--ckpt_path", f"runs/{name}/before/checkpoints/{tested}.ckpt", *FEW_CALLBACKS_ONLY,
    ])  # fmt: skip
    assert_close(figures(run), old)
    made = (run / "per_image.csv").read_text().splitlines()
    assert len(made) == len(rows)
    assert set(rows[0].split(",")) <= set(made[0].split(","))


@pytest.mark.slow
def test_all_old_callbacks_still_work(place):
    run = place / "runs" / FAST / "before"
    old = figures(run)
    main(["test", "--config", f"runs/{FAST}/before/config.yaml", "--ckpt_path", "best"])
    assert_close(figures(run), old)
    assert (run / "panels").is_dir()


@pytest.mark.slow
def test_a_test_under_other_options_still_stands_beside(place):
    run = place / "runs" / FAST / "before"
    own, near = figures(run), figures(run / "tests" / "near")
    main([
        "test", "--config", f"runs/{FAST}/before/tests/near/config.yaml", "--ckpt_path", "best", *FEW_CALLBACKS_ONLY,
    ])  # fmt: skip
    assert_close(figures(run / "tests" / "near"), near)
    assert figures(run) == own


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_names_in_a_checkpoint_fit_the_method(place, capsys, name):
    run = place / "runs" / name / "before"
    content = checkpoint(run, "best.ckpt")
    config = printed_config(capsys, "fit", "--config", f"runs/{name}/before/config.yaml")
    method = instantiate(DepthModule, of_this_machine(config["model"]))
    method.load_state_dict(content["state_dict"])
    assert content["origin"] == {"method": type(method).__name__, "data": "nyuv2"}
    loaded = type(method).load_from_checkpoint(run / "checkpoints" / "best.ckpt", map_location="cpu", weights_only=True)
    assert loaded.state_dict().keys() == content["state_dict"].keys()


@pytest.mark.parametrize("path", slow_but(CONFIGS[:1], CONFIGS), ids=lambda path: path.stem)
def test_a_configuration_is_taken_and_built(place, capsys, path):
    old = yaml.safe_load(path.read_text())
    config = printed_config(capsys, "fit", "--config", str(path))
    assert config["run"]["experiment"] == old["run"]["experiment"]
    method = instantiate(DepthModule, of_this_machine(config["model"]))
    assert type(method).__name__ == old["model"]["class_path"].rsplit(".", 1)[-1]
    data = instantiate(DepthDataModule, config["data"])
    assert type(data).__name__ == old["data"]["class_path"].rsplit(".", 1)[-1]
    for section in config["trainer"]["callbacks"]:
        instantiate(Callback, section)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("file", ["config.yaml", "config-test-nyuv2.yaml"])
def test_the_configuration_of_a_run_is_taken(place, capsys, name, file):
    command = "test" if "test" in file else "fit"
    config = printed_config(capsys, command, "--config", f"runs/{name}/before/{file}")
    old = yaml.safe_load((place / "runs" / name / "before" / file).read_text())
    assert config["model"]["class_path"] == old["model"]["class_path"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_EPOCH_MORE)
def test_training_is_resumed_for_one_more_epoch(place, name):
    run = place / "runs" / name / "before"
    before = checkpoint(run, "last.ckpt")
    flags, epoch = ONE_EPOCH_MORE[name]
    main(["fit", "--config", f"runs/{name}/before/config.yaml", "--ckpt_path", "last", *flags, *FEW_CALLBACKS_ONLY])
    after = checkpoint(run, "last.ckpt")
    assert (before["epoch"], after["epoch"]) == (epoch, epoch + 1)
    assert after["global_step"] == before["global_step"] + 1
    assert after.get("stage") == before.get("stage")
    assert any(not torch.equal(value, after["state_dict"][key]) for key, value in before["state_dict"].items())
    (state,) = after["optimizer_states"]
    assert len(state["state"]) == len(before["optimizer_states"][0]["state"]) > 0


@pytest.mark.slow
def test_compare_and_table_read_old_runs_beside_a_new_one(place, capsys):
    """The new one: a copy of the same run, tested by the present code."""
    new = place / "runs" / FAST / "after"
    shutil.copytree(place / "runs" / FAST / "before", new)
    shutil.rmtree(new / "tests")
    for record in (*new.glob("*-test-*"), new / "metrics.json", new / "per_image.csv"):
        record.unlink()
    main([
        "test", "--config", f"runs/{FAST}/after/config.yaml", "--run.name", "after",
        "--ckpt_path", f"runs/{FAST}/after/checkpoints/best.ckpt", *FEW_CALLBACKS_ONLY,
    ])  # fmt: skip
    capsys.readouterr()

    main(["compare", "--wandb", "false", "--metrics", "abs_rel"])
    output = capsys.readouterr()
    assert "left out" not in output.err
    for name in EXPERIMENTS:
        assert name in output.out
        for key, value in figures(place / "runs" / name / "before").items():
            if key == "test/nyuv2/abs_rel":
                assert f"{value:.4f}" in output.out
    assert "before" in output.out
    assert "after" in output.out
    assert (place / "runs" / "compare.html").is_file()

    main(["compare", "--html", "false", "--wandb", "false", "--metrics", "abs_rel", "--test", "near"])
    near = figures(place / "runs" / FAST / "before" / "tests" / "near")["test/nyuv2/abs_rel"]
    assert f"{near:.4f}" in capsys.readouterr().out

    main(["table", "shed", "--format", "csv"])
    output = capsys.readouterr()
    assert "left out" not in output.err
    assert "dpt_hybrid" in output.out


def test_nothing_kept_names_a_machine():
    """Paths are relative, so that the fixtures mean the same everywhere."""
    texts = [path for path in FIXTURES.rglob("*") if path.suffix in (".yaml", ".json", ".jsonl", ".csv", ".md")]
    assert texts
    for path in texts:
        for word in path.read_text().split():
            assert not word.strip("'\"{[(").startswith(("/", "~/", "file:")), f"{path}: {word}"
