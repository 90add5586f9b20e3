"""Guided MTI-Net's experiments from the command line: Rooms' format, the paper's recipe, and real frames."""

import json
import math
from pathlib import Path

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

from callbacks.records.history import read_history
from experiments.__main__ import main
from experiments.config.compose import EXPERIMENTS, compose
from lightning_modules import DepthModule, GuidedMTINet
from tests.experiments.conftest import tiny
from tests.helpers.real_subset import write_real_subset

PACK = Path(__file__).parents[3] / "../shared/data/real/nyu_depth_v2"
OTHER_DATA = "mti_net_official_split"  # the same network and recipe
ABLATIONS = sorted(
    path.stem for path in EXPERIMENTS.glob("mti_net_*.yaml") if path.stem not in ("mti_net_guided", OTHER_DATA)
)

#: Experiments whose heads, data or losses differ from the paper's; of the others the network alone does, which
#: :func:`test_every_ablation_is_built_and_trains` has.
WHOLE = ("mti_net_256_classes", "mti_net_learned_weights", "mti_net_single_task", "mti_net_zoomed_crops", OTHER_DATA)

#: The smallest network, on 32x64 pixels.
SMALL = [
    "--data.init_args.crop", "[32, 32]", "--data.init_args.eval_size", "[32, 64]",
    "--model.init_args.backbone", "resnet10t", "--model.init_args.widths", "[8, 8, 8, 8]",
]  # fmt: skip


def the_run(workplace, name):
    (run,) = (workplace / "runs" / name).iterdir()
    return run


def test_a_run_is_chosen_by_its_depth_loss_and_leaves_figures_in_both_units(workplace):
    main(["exp", *tiny("mti_net_guided"), *SMALL])
    run = the_run(workplace, "mti_net_guided")
    lines = [line for line in read_history(run / "history.jsonl") if "val/loss_depth" in line]
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["callbacks"]["BestCheckpoint"]
    assert best["monitor"] == "val/loss_depth"
    assert best["best_model_score"].item() == pytest.approx(min(line["val/loss_depth"] for line in lines), rel=1e-5)
    assert {"val/loss", "val/loss_semantics", "val/loss_edges"} <= lines[0].keys()
    figures = json.loads((run / "metrics.json").read_text())
    test = {key.removeprefix("test/nyuv2/"): value for key, value in figures.items()}
    assert test["mae_m"] == pytest.approx(test["mae"])
    assert test["rmse_unit"] == pytest.approx(test["rmse"] / 10)
    assert {"pixel_accuracy", "miou", "edge_ods"} <= test.keys()


def test_the_sweep_has_every_ablation():
    sweep = yaml.safe_load((EXPERIMENTS / "sweeps/mti_net_ablations.yaml").read_text())
    assert sorted(sweep["parameters"]["experiment"]["values"]) == sorted(["mti_net_guided", *ABLATIONS])


@pytest.mark.slow
@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_is_built_and_trains(monkeypatch, name):
    """As the command line builds it, with the smallest network."""
    monkeypatch.setenv("DATA_ROOT", "somewhere")
    config = compose([name, "data/rooms", "profile/quick"]).config["model"]
    config["init_args"] |= {"backbone": "resnet10t", "widths": [8, 8, 8, 8], "width": 8}
    parser = ArgumentParser()
    parser.add_subclass_arguments(DepthModule, "model")
    module = parser.instantiate_classes(parser.parse_object({"model": config})).model
    assert isinstance(module, GuidedMTINet)
    ids = torch.randint(0, 41, (2, 32, 64))
    batch = {
        "image": torch.randn(2, 3, 32, 64), "depth": 1 + torch.rand(2, 1, 32, 64), "semantics": ids,
        "edges": (torch.rand(2, 1, 32, 64) < 0.1).float(), "valid": torch.ones(2, 1, 32, 64, dtype=torch.bool),
    }  # fmt: skip
    torch.stack(list(module.losses(module(batch), batch).values())).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in module.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_an_ablation_runs_from_end_to_end(workplace, capsys, name):
    """Rooms, small: training, choice, test, pictures and the table of the command line."""
    rooms = {"height": 48, "width": 64, "train_scenes": 4, "test_scenes": 2, "frames_per_scene": 2}
    data = {"data": {"init_args": {"root": str(workplace / "rooms"), "rooms": rooms}}}
    (workplace / "rooms.yaml").write_text(yaml.safe_dump(data))
    configs = (name, "data/rooms", "profile/quick", "tiny.yaml", "rooms.yaml")
    zoomed = ["--data.init_args.resize", "[36, 72]"] if name == "mti_net_zoomed_crops" else []
    main(["exp", *(word for config in configs for word in ("--config", config)), *SMALL, *zoomed])
    run = the_run(workplace, name)
    figures = json.loads((run / "metrics.json").read_text())
    assert all(math.isfinite(figures[f"test/rooms/{key}"]) for key in ("abs_rel", "rmse_m", "rmse_unit"))
    assert ("test/rooms/pixel_accuracy" in figures) == (name != "mti_net_single_task")
    assert (run / "checkpoints" / "best.ckpt").is_file()
    assert list((run / "panels").glob("*.png"))
    assert "abs_rel" in capsys.readouterr().out


def test_the_paper_profile_is_the_papers_recipe(monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "somewhere")
    config = compose(["mti_net_guided", "profile/paper"]).config
    model, data = config["model"]["init_args"], config["data"]["init_args"]
    assert model["optimizer"] == {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-4}}
    assert config["trainer"]["max_epochs"] == 30
    assert data["split"] == "random801010"
    assert data["eval_size"] == data["preprocess"][0]["init_args"]["size"] == [256, 256]
    assert data["crop"] == [224, 224]
    assert data.get("resize") is None
    assert data["preprocess"][1]["class_path"] == "datamodules.CLAHE"
    assert model["protocol"]["name"] == "nyu_mti_unit"
    assert model["pretrained"] is True
    assert config["run"]["monitor"] == "val/loss_depth"


@pytest.mark.parametrize("overlays", [["profile/paper"], ["data/rooms", "profile/quick"]])
def test_frames_without_clahe_are_the_same_but_for_it(monkeypatch, overlays):
    monkeypatch.setenv("DATA_ROOT", "somewhere")
    whole, without = (compose([name, *overlays]).config for name in ("mti_net_guided", "mti_net_no_clahe"))
    steps = whole["data"]["init_args"].pop("preprocess")
    kept = [step for step in steps if step["class_path"] != "datamodules.CLAHE"]
    assert len(kept) == len(steps) - 1
    assert without["data"]["init_args"].pop("preprocess") == kept
    assert without == whole


def test_as_printed(monkeypatch):
    """Sections 5 and 6: 256 classes, plain binary cross-entropy, losses at the end, no exchange but the attention."""
    monkeypatch.setenv("DATA_ROOT", "somewhere")
    config = compose(["mti_net_as_printed"]).config["model"]
    config["init_args"] |= {"pretrained": False, "backbone": "resnet10t"}
    parser = ArgumentParser()
    parser.add_subclass_arguments(DepthModule, "model")
    module = parser.instantiate_classes(parser.parse_object({"model": config})).model
    assert module.network.decoders["semantics"][-1].out_channels == 256
    logits, edges = torch.randn(2, 1, 8, 8), (torch.rand(2, 1, 8, 8) < 0.1).float()
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, edges)
    torch.testing.assert_close(module.edge_loss(logits, edges), plain)
    assert not any(len(stage.heads) for stage in module.network.interaction.initial)
    assert not len(module.network.interaction.propagation) + len(module.network.interaction.distillation)
    assert {guide: attention.key.in_channels for guide, attention in module.network.guidance.items()} == {
        "semantics": 256, "edges": 1
    }  # fmt: skip


def test_the_official_split_holds_scenes_out(monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "somewhere")
    data = compose(["mti_net_official_split"]).config["data"]["init_args"]
    assert (data["split"], data["val_scenes"]) == ("official", 0.1)


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.skipif(not PACK.is_dir(), reason="the pack of real frames is not here (../shared/data/real)")
def test_it_trains_and_tests_on_real_frames_as_the_paper_does(workplace):
    """A part of the 195 frames: split at random, 256x256, CLAHE, figures in units of 10 m and in metres."""
    write_real_subset(PACK, workplace / "real" / "nyuv2", frames=20)
    changes = {
        "data": {"init_args": {"root": str(workplace / "real" / "nyuv2"), "num_workers": 0, "batch_size": 8}},
        "model": {
            "init_args": {
                "backbone": "resnet10t", "pretrained": False, "widths": [8, 8, 8, 8], "width": 8,
                "evaluation": {"groups": ["depth", "unit", "semantic", "edge"]},
            }
        },
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "devices": 1},
    }  # fmt: skip
    Path("small.yaml").write_text(yaml.safe_dump(changes))
    main(["exp", "--config", "mti_net_guided", "--config", "profile/paper", "--config", "small.yaml"])
    run = the_run(workplace, "mti_net_guided")
    assert json.loads((run / "environment.json").read_text())["data"]["frames"] == {"train": 16, "val": 2, "test": 2}
    figures = json.loads((run / "metrics.json").read_text())
    test = {key.removeprefix("test/nyuv2/"): value for key, value in figures.items()}
    assert test["rmse"] == pytest.approx(test["rmse_unit"])
    assert test["rmse_m"] == pytest.approx(10 * test["rmse"])
    assert 0.1 < test["mae_m"] < 5
    assert 0 < test["pixel_accuracy"] < 1
