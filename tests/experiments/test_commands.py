"""`segdepth` from files on disk to figures, tables and pictures, at the smallest size."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch
import yaml

from callbacks.records.history import read_history
from experiments.__main__ import main
from lightning_modules import SHED
from tests.experiments.conftest import tiny
from tests.helpers.few_callbacks import FEW_CALLBACKS_ONLY


def the_run(workplace, experiment):
    (run,) = (workplace / "runs" / experiment).iterdir()
    return run


@pytest.mark.parametrize("name", ["shed_hybrid", "dpt_hybrid"])
def test_exp_leaves_everything_a_run_promises(workplace, capsys, name):
    main(["exp", *tiny(name)])
    run = the_run(workplace, name)
    assert run.name.endswith("-nyuv2-quick")

    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["init_args"]["width"] == 8
    assert config["trainer"]["default_root_dir"].endswith(run.name)
    environment = json.loads((run / "environment.json").read_text())
    assert environment["data"]["frames"] == {"train": 2, "val": 2, "test": 4}
    assert environment["seed"] == 0
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0]

    figures = json.loads((run / "metrics.json").read_text())
    with (run / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["index"] for row in rows] == ["4", "5", "6", "7"]
    mean = np.mean([float(row["abs_rel"]) for row in rows])
    assert figures["test/nyuv2/abs_rel"] == pytest.approx(mean, rel=1e-6)
    assert figures["test/nyuv2/baseline_abs_rel"] > 0

    pictures = sorted((run / "panels").glob("*.png"))
    assert [p.name for p in pictures] == [f"nyuv2_{i:04d}.png" for i in (4, 5, 6, 7)]
    assert min(cv2.imread(str(p)).std() for p in pictures) > 10  # not blank
    assert cv2.imread(str(run / "worst_nyuv2.png")).std() > 10
    assert cv2.imread(str(run / "retrieval_nyuv2.png")).std() > 10
    clouds = sorted((run / "clouds").iterdir())
    parts = (".png", "_prediction.ply", "_truth.ply")
    assert [p.name for p in clouds] == [f"nyuv2_{i:04d}{part}" for i in (4, 5, 6, 7) for part in parts]
    strips = sorted((run / "thumbnails" / "nyuv2").iterdir())
    assert [p.name for p in strips] == [f"{i:04d}.jpg" for i in (4, 5, 6, 7)]
    assert {cv2.imread(str(p)).shape for p in strips} == {(120, 5 * 160, 3)}
    lines = read_history(run / "history.jsonl")
    assert any("train/loss_epoch" in line for line in lines)
    assert any("val/abs_rel" in line for line in lines)
    assert list(run.glob("wandb/offline-run-*"))
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["callbacks"]["BestCheckpoint"]["monitor"] == "val/abs_rel"  # chosen, not just the last
    output = capsys.readouterr().out
    assert "median depth everywhere" in output
    assert "wandb sync" in output

    main(["compare"])
    assert run.name in capsys.readouterr().out


def test_baseline_is_the_training_median(workplace):
    main(["exp", *tiny("dpt_hybrid")])
    figures = json.loads((the_run(workplace, "dpt_hybrid") / "metrics.json").read_text())
    import h5py

    with h5py.File(workplace / "data/nyuv2/nyu_depth_v2_labeled.mat") as file:
        depth = file["depths"][:]
    environment = json.loads((the_run(workplace, "dpt_hybrid") / "environment.json").read_text())
    assert environment["data"]["scenes"] == {"train": 1, "val": 1, "test": 2}
    candidates = [np.median(depth[:2]), np.median(depth[2:4])]  # either scene may be the one held out
    expected = [np.mean([np.mean(abs(median - d) / d) for d in depth[4:]]) for median in candidates]
    assert min(abs(figures["test/nyuv2/baseline_abs_rel"] - e) for e in expected) < 1e-3


def test_test_and_predict_continue_in_the_run(workplace):
    main(["fit", *tiny("shed_hybrid"), *FEW_CALLBACKS_ONLY])
    run = the_run(workplace, "shed_hybrid")
    trained = (run / "config.yaml").read_text()
    main(["test", *tiny("shed_hybrid"), "--ckpt_path", "best", *FEW_CALLBACKS_ONLY])
    assert the_run(workplace, "shed_hybrid") == run
    assert (run / "config.yaml").read_text() == trained
    assert (run / "config-test-nyuv2.yaml").exists()
    assert (run / "metrics.json").exists()
    main(["validate", *tiny("shed_hybrid"), "--ckpt_path", "best"])
    main(["predict", *tiny("shed_hybrid"), "--ckpt_path", "best"])
    files = sorted((run / "predictions" / "nyuv2").iterdir())
    assert [f.name for f in files] == ["0005.npy", "0006.npy", "0007.npy", "0008.npy"]  # NYUv2 counts from 1
    depth = np.load(files[0])
    assert depth.shape == (48, 64)
    assert depth.dtype == np.float32
    assert ((depth > 0) & (depth <= 10)).all()


def test_a_checkpoint_file_is_tested_under_the_protocol_asked_for(workplace):
    """Not under that of its training, which the file holds as well."""
    main(["exp", *tiny("dpt_hybrid"), "--run.name", "trained", *FEW_CALLBACKS_ONLY])
    checkpoint = workplace / "runs/dpt_hybrid/trained/checkpoints/best.ckpt"
    main(["test", *tiny("dpt_hybrid"), "--ckpt_path", str(checkpoint), "--run.name", "tested",
          "--model.init_args.protocol.alignment", "median", *FEW_CALLBACKS_ONLY])  # fmt: skip
    tested = workplace / "runs/dpt_hybrid/tested"
    config = yaml.safe_load((tested / "config.yaml").read_text())
    assert config["model"]["init_args"]["protocol"]["alignment"] == "median"
    (trained_abs_rel, tested_abs_rel) = (
        json.loads((folder / "metrics.json").read_text())["test/nyuv2/abs_rel"]
        for folder in (checkpoint.parent.parent, tested)
    )
    assert tested_abs_rel != trained_abs_rel


def test_last_goes_on_where_training_stopped(workplace):
    main(["fit", *tiny("dpt_hybrid"), "--model.init_args.schedule.name", "constant"])
    run = the_run(workplace, "dpt_hybrid")
    first = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    main(["fit", *tiny("dpt_hybrid"), "--model.init_args.schedule.name", "constant",
          "--trainer.max_epochs", "3", "--ckpt_path", "last"])  # fmt: skip
    assert the_run(workplace, "dpt_hybrid") == run
    second = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert (first["epoch"], second["epoch"]) == (0, 2)
    assert second["global_step"] == 3 * first["global_step"]


@pytest.mark.parametrize(
    "flags", [["--data.init_args.val_scenes", "0"], ["--trainer.check_val_every_n_epoch", "5"]], ids=["none", "rare"]
)
def test_without_validation_the_best_is_the_last(workplace, flags):
    main(["exp", *tiny("dpt_hybrid"), *flags, *FEW_CALLBACKS_ONLY])
    run = the_run(workplace, "dpt_hybrid")
    best, last = (torch.load(run / "checkpoints" / f"{n}.ckpt", weights_only=True) for n in ("best", "last"))
    if "val_scenes" in flags[0]:
        assert best["callbacks"]["BestCheckpoint"]["monitor"] is None
    for name, weights in best["state_dict"].items():
        assert torch.equal(weights, last["state_dict"][name])
    assert (run / "metrics.json").exists()


def test_checkpoints_hold_plain_values_and_rebuild_the_method(workplace):
    main(["fit", *tiny("shed_hybrid"), "--model.init_args.max_depth", "7.5"])
    path = the_run(workplace, "shed_hybrid") / "checkpoints" / "best.ckpt"
    method = SHED.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    assert method.network.head.max_depth == 7.5
    assert method.protocol.name == "rooms"


def test_interrupted_training_leaves_a_checkpoint(workplace, monkeypatch, caplog):
    from datamodules.frames import FrameDataset

    calls = {"n": 0}
    read = FrameDataset.__getitem__

    def interrupted(self, key):
        calls["n"] += 1
        if calls["n"] > 7:
            raise KeyboardInterrupt
        return read(self, key)

    monkeypatch.setattr(FrameDataset, "__getitem__", interrupted)
    with pytest.raises(SystemExit) as exit_:
        main(["fit", *tiny("dpt_hybrid"), "--trainer.max_epochs", "9"])
    assert exit_.value.code not in (0, None)
    assert "--ckpt_path last" in caplog.text
    run = the_run(workplace, "dpt_hybrid")
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] > 0

    monkeypatch.undo()
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("DATA_ROOT", str(workplace / "data"))
    main(["fit", *tiny("dpt_hybrid"), "--trainer.max_epochs", "4", "--ckpt_path", "last"])
    assert the_run(workplace, "dpt_hybrid") == run


class TestBadInput:
    """One clear line, a non-zero exit, and no run folder."""

    @pytest.fixture
    def line(self, workplace, capsys):
        def line_(*arguments, command="exp"):
            with pytest.raises(SystemExit) as exit_:
                main([command, *arguments])
            assert exit_.value.code == 2
            assert not (workplace / "runs").exists()
            first = capsys.readouterr().err.strip().splitlines()[-2]
            assert first.startswith("segdepth: error: ")
            return first

        return line_

    def test_unknown_experiment(self, line):
        message = line("--config", "shed_hibrid")
        assert "no experiment or configuration `shed_hibrid`; did you mean `shed_hybrid`" in message

    def test_unknown_command(self, line):
        assert "commands: exp" in line(command="fitt")

    def test_missing_file(self, line, workplace):
        (workplace / "data/nyuv2/nyu_depth_v2_labeled.mat").unlink()
        assert "nyu_depth_v2_labeled.mat" in line(*tiny("dpt_hybrid"))

    def test_truncated_file(self, line, workplace):
        path = workplace / "data/nyuv2/nyu_depth_v2_labeled.mat"
        path.write_bytes(path.read_bytes()[:5000])
        assert "truncated" in line(*tiny("dpt_hybrid"))

    def test_missing_key(self, line, workplace):
        import h5py

        with h5py.File(workplace / "data/nyuv2/nyu_depth_v2_labeled.mat", "r+") as file:
            del file["labels"]
        assert "labels" in line(*tiny("dpt_hybrid"))

    def test_split_out_of_range(self, line, workplace):
        from scipy.io import savemat

        one = np.ones((1, 1), np.uint16)
        savemat(workplace / "data/nyuv2/splits.mat", {"trainNdxs": 900 * one, "testNdxs": one})
        message = line(*tiny("dpt_hybrid"))
        assert "splits.mat" in message
        assert "trainNdxs" in message

    def test_image_smaller_than_the_crop(self, line):
        assert "48x64" in line(*tiny("dpt_hybrid"), "--data.init_args.crop", "[96, 96]")

    def test_superpixels_that_the_data_lack(self, line):
        message = line(*tiny("shed_hybrid"), "--data.init_args.superpixels", "null",
                       "--model.init_args.superpixel_size", "16")  # fmt: skip
        assert "superpixels" in message

    def test_pretrained_weights_without_network(self, line, monkeypatch, tmp_path):
        from lightning_modules.backbones import pretrained

        monkeypatch.setattr(pretrained, "_hub_is_unreachable", lambda: True)
        monkeypatch.setattr(pretrained.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        message = line(*tiny("dpt_hybrid"), "--model.init_args.pretrained", "true", "--model.init_args.backbone",
                       "resnet18.a1_in1k+vit_tiny_patch16_224.augreg_in21k")  # fmt: skip
        assert "--model.init_args.pretrained false" in message


def test_a_frame_without_depth_is_named(workplace, capsys):
    import h5py

    with h5py.File(workplace / "data/nyuv2/nyu_depth_v2_labeled.mat", "r+") as file:
        file["depths"][5] = 0
    with pytest.raises(SystemExit) as exit_:
        main(["exp", *tiny("dpt_hybrid")])
    assert exit_.value.code == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("segdepth: error")]
    assert len(error) == 1
    assert "nyu_depth_v2_labeled.mat" in error[0]
    assert "5" in error[0]
