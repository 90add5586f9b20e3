"""A folder of one's own through whole commands: several sizes, sparse and relative truth, nothing to train on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from experiments.__main__ import main
from experiments.config.compose import ConfigError
from tests.helpers.commands import command
from tests.helpers.killed_runs import base_callbacks
from tests.helpers.own_frames import describe, picture, save, surface

SMALL = {
    "data": {
        "init_args": {"crop": [32, 32], "eval_size": None, "batch_size": 3, "eval_batch_size": 3, "num_workers": 0}
    },
    "model": {
        "class_path": "tests.helpers.tiny_method.TinyMethod",
        "init_args": {"optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01}}},
    },
    "trainer": {"max_epochs": 1, "accelerator": "cpu", "devices": 1, "callbacks": base_callbacks()},
}

SIZES = [(48, 64), (48, 64), (40, 56), (48, 64), (56, 40), (56, 40), (48, 64), (40, 56)]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder to work in, with frames of three sizes whose truth is sparse disparity."""
    for number, size in enumerate(SIZES):
        depth = surface(number, size)
        disparity = np.where(np.random.default_rng(number).random(size) < 0.1, 1 / np.maximum(depth, 1), 0)
        save(tmp_path / f"film/rgb/{number}.png", picture(number, size))
        save(tmp_path / f"film/depth/{number}.npy", (7 * disparity).astype(np.float32))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "small.yaml").write_text(yaml.safe_dump({"base": ["base/trainer"], **SMALL}))
    return tmp_path


def film(root="film", **keys):
    said = {"depth": {"coding": "inverse", "sparse": True}, "camera": {"horizontal_fov": 60}, "name": "film"}
    return describe(Path(root), **{**said, **keys})


def arguments(*more):
    return ["--config", "small.yaml", "--data", "folder", "--data.root", "film", "--run.name", "one", *more]


def metrics():
    return json.loads(Path("runs/small/one/metrics.json").read_text())


LOSS = ("--model.depth_loss", "lightning_modules.losses.ScaleAndShiftInvariantLoss")


def test_relative_sparse_truth_of_several_sizes(workplace, capsys):
    film(truth="scale_and_shift", splits={"fractions": {"val": 0.2, "test": 0.4}})
    with pytest.raises(ValueError, match=r"`film`: depth is known up to a scale and a shift, and `depth_loss` SILog"):
        command("exp")(arguments())
    with pytest.raises(ValueError, match=r"and protocol `whole_frame` aligns by `none`; set `--model\.protocol"):
        command("exp")(arguments(*LOSS, "--model.protocol.alignment", "none"))
    assert not Path("runs/small/one/metrics.json").exists()
    main(["exp", *arguments(*LOSS)])
    printed = capsys.readouterr().out
    assert "small on film (truth up to scale and shift), whole_frame" in printed
    assert "truth up to scale and shift, in medians of each frame instead of metres" in " ".join(printed.split())
    assert all(key.startswith("test/film/") for key in metrics())
    assert np.isfinite(metrics()["test/film/abs_rel"])
    main(["compare", "--html", "false", "--wandb", "false"])
    assert "small (truth up to scale and shift)" in capsys.readouterr().out
    rows = Path("runs/small/one/per_image.csv").read_text().splitlines()
    assert len(rows) == 1 + 3


def test_a_folder_that_is_only_tested_on(workplace, capsys):
    film(splits={"fractions": {"test": 0.4}})
    main(["fit", *arguments()])
    shutil.copytree("film", "other")
    film(root="other", name="other")  # all frames, none to train on
    checkpoint = ("--data.root", "other", "--ckpt_path", "runs/small/one/checkpoints/last.ckpt")
    main(["test", *arguments(*checkpoint)])
    assert {key.split("/")[1] for key in metrics()} == {"other"}
    assert "test/other/baseline_abs_rel" not in metrics()
    tested = metrics()["test/other/abs_rel"]
    main(["predict", *arguments(*checkpoint)])
    folder = Path("runs/small/one/predictions/other")
    shapes = {int(path.stem): np.load(path).shape for path in sorted(folder.glob("*.npy"))}
    assert shapes == dict(enumerate(SIZES, start=1))
    evaluated = ("--predictions", str(folder), "--data", "folder", "--data.root", "other", "--output", "out")
    main(["evaluate", *evaluated])
    found = json.loads(Path("out/metrics.json").read_text())
    assert found["test/other/abs_rel"] == pytest.approx(tested, rel=1e-6)
    with pytest.raises(FileNotFoundError, match=r"dataset\.yaml: key `splits` gives training no frame"):
        command("fit")(arguments("--data.root", "other", "--run.name", "two"))
    shutil.rmtree("film")  # a run may have moved away from its data
    main(["infer", "runs/small/one", "other/rgb/0.png", "--output", "photos"])
    assert Path("photos/0/depth.png").is_file()


def test_the_folder_has_to_be_named(workplace):
    with pytest.raises(ConfigError, match=r"`--data folder` needs the folder: `--data\.root FOLDER`"):
        command("exp")(["--config", "small.yaml", "--data", "folder"])
    with pytest.raises(ConfigError, match="elsewhere is not a folder"):
        command("exp")(["--config", "small.yaml", "--data", "folder", "--data.root", "elsewhere"])


def test_data_commands(workplace, capsys):
    film(truth="scale")
    root = ("folder", "--data.root", "film")
    main(["data", "verify", *root, "--workers", "0"])
    assert "film: 8 frames read (train 0, val 0, test 8)" in capsys.readouterr().out
    main(["data", "preview", *root, "--part", "test", "--output", "sheet.png"])
    assert Path("sheet.png").stat().st_size > 1000
    main(["data", "convert", *root, "--output", "store", "--workers", "0"])
    main(["data", "verify", *root, "--data.store", "store", "--workers", "0"])
    assert "8 frames read" in capsys.readouterr().out
    main(["data", "status", "--data_root", "."])
    status = capsys.readouterr().out
    assert "film: 8 frames" in status
    Path("film/depth/3.npy").unlink()
    main(["data", "status", "--data_root", "."])
    assert "1 frames lack a file" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit):
        main(["data", "verify", *root, "--workers", "0"])
    assert "broken: test: film/rgb/3.png: has no file of depth" in capsys.readouterr().out
