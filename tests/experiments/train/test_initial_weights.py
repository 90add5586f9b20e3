"""A run from local weights: what is said before it starts, what it records, and what a finished run still needs."""

import json

import pytest
import timm
import torch
import yaml

from experiments.__main__ import main
from experiments.config.compose import compose
from experiments.config.error import ConfigError
from experiments.export.finished_model import open_run
from lightning_modules.backbones.registry import create_backbone
from tests.experiments.conftest import tiny

NAME = "resnet18+vit_tiny_patch16_224"


@pytest.fixture
def stem(workplace):
    torch.manual_seed(3)
    network = timm.create_model("resnet18")
    torch.save(network.state_dict(), workplace / "stem.pth")
    return network


def weights(stem, transformer="false"):
    sources = f"{{stem: {stem}, transformer: {transformer}}}"
    return ["--model.init_args.backbone", NAME, f"--model.init_args.pretrained={sources}"]


def line(capsys, *arguments):
    with pytest.raises(SystemExit):
        main(["exp", *arguments])
    return capsys.readouterr().err.strip().splitlines()[-2]


def test_a_missing_file_comes_before_the_data(workplace, capsys, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(workplace / "nowhere"))
    monkeypatch.setenv("HOME", str(workplace))
    assert f"{workplace}/mine.pth: no such file" in line(capsys, *tiny("dpt_hybrid"), *weights("~/mine.pth"))
    assert "is a hybrid" in line(capsys, *tiny("dpt_hybrid"), "--model.init_args.pretrained", "mine.pth")
    assert "no package has weights of `resnet18`" in line(capsys, *tiny("dpt_hybrid"), *weights("lite"))
    assert not (workplace / "runs").exists()


@pytest.mark.slow
def test_a_finished_run_needs_no_file(workplace, stem, capsys):
    main(["exp", *tiny("dpt_hybrid"), *weights("stem.pth")])
    out = capsys.readouterr().out
    assert "weights: stem resnet18, stem.pth" in out
    assert "transformer random weights" in out
    run = next((workplace / "runs" / "dpt_hybrid").iterdir())
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["init_args"]["pretrained"] == {"stem": "stem.pth", "transformer": False}
    facts = json.loads((run / "environment.json").read_text())["initial_weights"]
    assert facts == {"stem": "resnet18, stem.pth", "transformer": "random weights"}
    (workplace / "stem.pth").unlink()
    opened = open_run("dpt_hybrid", workplace / "runs")
    stored = torch.load(opened.checkpoint, weights_only=True)["state_dict"]
    assert all(torch.equal(value, stored[key]) for key, value in opened.module.state_dict().items())
    main(["test", *tiny("dpt_hybrid"), *weights("stem.pth"), "--ckpt_path", "best"])
    assert "no such file" in line(capsys, *tiny("dpt_hybrid"), *weights("stem.pth"), "--run.name", "another")


@pytest.mark.parametrize(
    ("experiment", "network"),
    [("semantic_md_baseline_l1", "encoder"), ("semantic_md_deeplab_two_head_ce", "encoder"),
     ("shed_hybrid", "backbone"), ("shed_four_levels", "backbone"), ("dpt_hybrid", "backbone"),
     ("shed_hybrid_hypersim", "backbone")],
)  # fmt: skip
def test_the_profile_lite(experiment, network):
    options = compose([experiment, "data/rooms", "profile/lite"]).config["model"]["init_args"]
    assert options[network].split("+")[0] == "tf_efficientnet_lite0"
    assert options["pretrained"] == ("lite" if network == "encoder" else {"stem": "lite", "transformer": False})
    assert create_backbone("tf_efficientnet_lite0", pretrained=False).mean == (0.5, 0.5, 0.5)
    assert compose([experiment, "data/rooms", "profile/lite"]).profile == "lite"


@pytest.mark.parametrize(
    "experiment",
    ["mti_net_guided", "region_support_joined", "cast_small", "depth_anything_v2_small_hypersim",
     "semantic_md_encoder_efficientnet_b2"],
)  # fmt: skip
def test_experiments_without_a_profile_lite(experiment):
    with pytest.raises(ConfigError, match=f"`{experiment}` has no profile `lite`: .*take `profile/quick`"):
        compose([experiment, "data/rooms", "profile/lite"])
    assert compose([experiment, "data/rooms", "profile/quick"]).profile == "quick"
