"""Odd environment variables, paths from the home folder, and files that macOS leaves."""

from pathlib import Path

import numpy as np
import pytest

from datamodules.storage.cache import cache_folder
from experiments.__main__ import main
from experiments.config.compose import ConfigError, compose
from experiments.config.home_paths import expand_argument
from experiments.foreign.prediction_files import PredictionFiles
from experiments.health.surroundings import NARROWEST, table_width, tidy_environment


@pytest.mark.parametrize(("columns", "width"), [("", 160), ("abc", 160), ("-5", 160), ("20", NARROWEST), ("200", 200)])
def test_a_width_that_is_none_is_passed_over(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    tidy_environment()
    assert table_width(100) == width


def test_empty_counts_as_not_set(monkeypatch, capsys):
    for name in ("DATA_ROOT", "WORLD_SIZE", "WANDB_INIT_TIMEOUT"):
        monkeypatch.setenv(name, "")
    with pytest.raises(SystemExit):
        main(["data", "status"])
    assert "DATA_ROOT is not set" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="DATA_ROOT is not set"):
        compose(["data/nyuv2"])


def test_a_number_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(ConfigError, match="WORLD_SIZE is `two`, not a number"):
        tidy_environment()


def test_figures_need_no_display(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    tidy_environment()
    import matplotlib.pyplot  # noqa: F401


def test_the_home_folder_is_meant_wherever_a_path_begins_with_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SEGDEPTH_CACHE", "~/x")
    assert cache_folder() == tmp_path / "x"
    assert expand_argument("--predictions=~/pred") == f"--predictions={tmp_path}/pred"
    assert expand_argument("~/pred") == f"{tmp_path}/pred"
    assert [expand_argument(text) for text in ("--run.name=~a", "--flag", "a~/b")] == [
        "--run.name=~a",
        "--flag",
        "a~/b",
    ]
    (tmp_path / "own.yaml").write_text("ckpt_path: ~/best.ckpt\nrun: {tags: [~/a, b]}\n")
    config = compose([str(tmp_path / "own.yaml")]).config
    assert config == {"ckpt_path": f"{tmp_path}/best.ckpt", "run": {"tags": [f"{tmp_path}/a", "b"]}}


def test_what_macos_leaves_beside_files_is_no_prediction(tmp_path):
    np.save(tmp_path / "0001.npy", np.ones((4, 4), np.float32))
    (tmp_path / "._0001.npy").write_bytes(b"\0\5\x16\7")
    assert PredictionFiles(Path(tmp_path), [0], 1).read(0).shape == (1, 4, 4)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_names_its_option(monkeypatch, tmp_path, capsys, seed):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["fit", "--config", "dpt_hybrid", "--config", "data/rooms", "--seed_everything", str(seed)])
    assert f"`--seed_everything {seed}`: not a seed; take one from 0 to 4294967295" in capsys.readouterr().err
