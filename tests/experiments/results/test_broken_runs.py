"""A run of which a file is broken is left out, by name; and a copy of a run is never taken for a newer one."""

import errno
import json
import os
import shutil

import pytest
import torch
import yaml

import datamodules.files
from callbacks.records.per_image_table import earlier_rows
from callbacks.records.run_recorder import RunRecorder
from callbacks.records.run_summary import merge_json
from experiments.results.finished_runs import read_runs
from experiments.results.run_folder import find_checkpoint
from tests.helpers.commands import command
from tests.helpers.synthetic_runs import write_run

compare = command("compare")
table = command("table")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] + b"\xff")


@pytest.mark.parametrize("name", ["config.yaml", "environment.json", "metrics.json", "per_image.csv", "history.jsonl"])
def test_a_cut_file_costs_compare_and_table_one_run(tmp_path, capsys, name):
    write_run(tmp_path / "shed_hybrid/whole", pictures=False)
    cut(write_run(tmp_path / "shed_hybrid/broken", seed=1, pictures=False) / name)
    compare(["--root", str(tmp_path), "--wandb", "false"])
    said = capsys.readouterr()
    assert "whole" in said.out
    if name == "history.jsonl":  # a line that is cut is one point less
        assert "broken" in said.out
        return
    (warning,) = said.err.splitlines()
    assert f"shed_hybrid/broken/{name}" in warning
    assert "left out" in warning
    assert "broken" not in said.out
    table(["shed", "--root", str(tmp_path)])
    assert (f"broken/{name}" in capsys.readouterr().err) == (name != "per_image.csv")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("environment.json", '{"data": []}'),
        ("environment.json", '{"command": 1}'),
        ("environment.json", '{"data": {"name": "nyuv2", "variants": [{"nama": "x"}]}}'),
        ("config.yaml", "model: [1]"),
        ("config.yaml", "model: {init_args: {protocol: nyu_eigen}}"),
        ("config.yaml", "seed: 2001-99-99"),
    ],
)
def test_records_of_another_shape_are_broken(tmp_path, capsys, name, content):
    (write_run(tmp_path / "net/one", pictures=False) / name).write_text(content)
    assert read_runs(tmp_path) == []
    assert f"net/one/{name}" in capsys.readouterr().err


def test_what_a_run_records_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    class Recorder(RunRecorder):
        def environment(self, trainer, pl_module):
            return {"seed": 0}

    class Parser:
        def dump(self, config, skip_none):
            return "a: 1\n"

    class Trainer:
        default_root_dir, logger = tmp_path, None

    def fail(*_):
        raise OSError(errno.EIO, "killed")

    (tmp_path / "environment.json").write_text("{}")
    monkeypatch.setattr(datamodules.files.os, "replace", fail)
    with pytest.raises(OSError, match=r"config\.yaml"):
        Recorder(Parser(), {}).save_config(Trainer(), None, "fit")
    with pytest.raises(OSError, match=r"metrics\.json"):
        merge_json(tmp_path / "metrics.json", {"test/nyuv2/abs_rel": 0.1})
    assert [path.name for path in tmp_path.iterdir()] == ["environment.json"]


def test_a_test_sets_broken_figures_of_earlier_tests_aside(tmp_path):
    (tmp_path / "metrics.json").write_text('{"test/nyuv2/abs_rel": 0.')
    with pytest.warns(UserWarning, match=r"metrics\.json: cannot be read .* kept as metrics\.json\.broken"):
        merge_json(tmp_path / "metrics.json", {"test/rooms/abs_rel": 0.5})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"test/rooms/abs_rel": 0.5}
    (tmp_path / "per_image.csv").write_text("dataset,index,scene,frame,abs_rel\nnyuv2,0,a,1,0.5\nnyuv2,1")
    with pytest.warns(UserWarning, match=r"per_image\.csv: cannot be read"):
        assert earlier_rows(tmp_path / "per_image.csv", {"rooms"}) == []
    assert (tmp_path / "per_image.csv.broken").exists()


def with_checkpoint(folder, started, time):
    """A run that says when it was started, with a checkpoint and files of another time."""
    environment = folder / "environment.json"
    environment.write_text(json.dumps({**json.loads(environment.read_text()), "started": started}))
    (folder / "checkpoints").mkdir()
    torch.save({"state_dict": {}}, folder / "checkpoints/best.ckpt")
    for path in (*folder.iterdir(), folder / "checkpoints/best.ckpt"):
        os.utime(path, (time, time))
    return folder


def test_copies_of_an_old_run_are_not_the_newest(tmp_path, capsys):
    net = tmp_path / "shed_hybrid"
    old = with_checkpoint(write_run(net / "old", pictures=False), "2026-01-01T00:00:00+00:00", 100)
    shutil.copytree(old, net / "z-copy", copy_function=shutil.copyfile)  # newer files, as `cp -r` makes them
    assert find_checkpoint(tmp_path, "shed_hybrid", "best").parents[1].name == "old"
    new = with_checkpoint(write_run(net / "new", pictures=False), "2026-01-02T00:00:00+00:00", 50)
    assert find_checkpoint(tmp_path, "shed_hybrid", "best").parents[1].name == "new"
    assert [result.run for result in read_runs(tmp_path)] == ["z-copy", "old", "new"]
    (new / "environment.json").write_text("{")
    assert find_checkpoint(tmp_path, "shed_hybrid", "best").parents[1].name == "old"
    assert "new/environment.json" in capsys.readouterr().err
    assert find_checkpoint(tmp_path, "shed_hybrid", "best", "new").parents[1].name == "new"


def test_a_run_of_the_same_second_is_no_copy(tmp_path):
    for name, time in (("a-2", 20), ("b", 10)):
        folder = with_checkpoint(write_run(tmp_path / "net" / name, pictures=False), "2026-01-01T00:00:00+00:00", time)
        config = yaml.safe_load((folder / "config.yaml").read_text())
        assert config["run"]["name"] == name
    assert find_checkpoint(tmp_path, "net", "best").parents[1].name == "b"
