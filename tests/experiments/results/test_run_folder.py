import os

import pytest
import torch

from experiments.config.compose import ConfigError
from experiments.results.run_folder import RUN_ENVIRONMENT, RunSettings, find_checkpoint, name_run


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in (RUN_ENVIRONMENT, "WORLD_SIZE", "SLURM_JOB_ID", "TORCHELASTIC_RUN_ID"):
        monkeypatch.setenv(name, "")  # so that what a test leaves behind is undone
        monkeypatch.delenv(name)


def test_processes_started_later_inherit_the_name():
    name = name_run("rooms", "quick")
    assert name.endswith("-rooms-quick")
    assert name_run("rooms", "quick") == name
    assert RunSettings(experiment="shed_hybrid", name=name).folder.parts == ("runs", "shed_hybrid", name)


def test_outside_launchers_agree_on_a_name(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"--run\.name"):
        name_run("nyuv2", "paper")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job7")
    assert name_run("nyuv2", "paper") == "job7-nyuv2-paper"
    monkeypatch.delenv(RUN_ENVIRONMENT)
    monkeypatch.setenv("SLURM_JOB_ID", "123")
    assert name_run("nyuv2", "") == "123-nyuv2"


def test_the_newest_checkpoint_is_found(tmp_path):
    for age, run in enumerate(("b", "a", "c")):
        path = tmp_path / "shed_hybrid" / run / "checkpoints" / "last.ckpt"
        path.parent.mkdir(parents=True)
        torch.save({"state_dict": {}}, path)
        os.utime(path, (100 - age, 100 - age))
    assert find_checkpoint(tmp_path, "shed_hybrid", "last").parent.parent.name == "b"
    assert find_checkpoint(tmp_path, "shed_hybrid", "last", "c").parent.parent.name == "c"
    with pytest.raises(ConfigError, match=r"no .*best\.ckpt: train first"):
        find_checkpoint(tmp_path, "shed_hybrid", "best")


def test_a_run_s_name_is_no_pattern(tmp_path):
    for run in ("x1", "x[1]"):
        path = tmp_path / "shed_hybrid" / run / "checkpoints" / "last.ckpt"
        path.parent.mkdir(parents=True)
        torch.save({"state_dict": {}}, path)
    assert find_checkpoint(tmp_path, "shed_hybrid", "last", "x[1]").parent.parent.name == "x[1]"
    with pytest.raises(ConfigError, match=r"x\*/checkpoints/last\.ckpt: train first"):
        find_checkpoint(tmp_path, "shed_hybrid", "last", "x*")


def test_runs_of_a_sweep_s_agents_that_start_in_the_same_second_differ(monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    names = set()
    for agent in ("a1", "b2"):
        monkeypatch.setenv("WANDB_RUN_ID", agent)
        monkeypatch.setenv(RUN_ENVIRONMENT, "")
        names.add(name_run("nyuv2", ""))
    assert {name.split("-")[2] for name in names} == {"a1", "b2"}


@pytest.mark.parametrize(
    "name", ["../up", "a/b", "/tmp/x", "a\\b", "..", "", " ", "two\nlines", "x" * 129], ids=lambda name: repr(name)[:12]
)
def test_a_name_that_is_no_folder_s_is_refused(name):
    with pytest.raises(ConfigError, match=r"`--run\.name "):
        RunSettings(experiment="shed_hybrid", name=name)
    with pytest.raises(ConfigError, match=r"`--run\.experiment "):
        RunSettings(experiment=name)


def test_unusual_names_are_taken():
    for name in ("lr[a=1]", "zweiter Versuch", "größer", "-x", ".hidden", "a.b"):
        assert RunSettings(experiment="x", name=name).folder.name == name
