"""What is told before weights are fetched, and before an epoch is spent."""

from types import SimpleNamespace

import pytest
import torch
from jsonargparse import Namespace
from torch import nn

from experiments.__main__ import main
from experiments.config.error import ConfigError
from experiments.config.idle_options import idle_in_trainer
from experiments.health.failures import explain_failure
from experiments.train.preflight import (
    check_batch_norm,
    check_before_weights,
    check_checkpoint_method,
    check_monitor,
)
from lightning_modules.metrics import EvalProtocol
from lightning_modules.networks.semantic_md.multi_head import MultiHeadNetwork
from tests.experiments.conftest import tiny
from tests.helpers.described_data import described
from tests.helpers.tiny_method import TinyMethod


@pytest.fixture
def line(workplace, capsys, monkeypatch):
    """The error of a command that would fail to fetch weights, were it to come to that; it leaves no folder."""
    from lightning_modules.backbones import pretrained

    monkeypatch.setattr(pretrained, "_hub_is_unreachable", lambda: True)
    monkeypatch.setattr(pretrained.constants, "HF_HUB_CACHE", str(workplace / "hub"))
    weights = ["--model.init_args.pretrained", "true",
               "--model.init_args.backbone", "resnet18.a1_in1k+vit_tiny_patch16_224.augreg_in21k"]  # fmt: skip

    def line_(name, *arguments, command="exp", pretrained=True):
        with pytest.raises(SystemExit):
            main([command, *tiny(name), *(weights if pretrained else []), *arguments])
        assert not (workplace / "runs").exists()
        return capsys.readouterr().err.strip().splitlines()[-2]

    return line_


def test_data_path_and_keys_come_before_weights(line):
    assert "nowhere/nyu_depth_v2_labeled.mat is missing" in line("dpt_hybrid", "--data.init_args.root", "nowhere")
    assert "SHED requires superpixels" in line("shed_hybrid", "--data.init_args.superpixels", "null",
                                              "--model.init_args.superpixel_size", "16")  # fmt: skip
    assert "crop `eigen` is defined on 480x640" in line("dpt_hybrid", "--model.init_args.protocol.crop", "eigen")
    assert "pretrained weights" in line("dpt_hybrid")  # where all is well they are fetched


def test_a_check_that_needs_memory_is_left_to_the_real_method(workplace, monkeypatch):
    """One-hot classes are chosen by counting: without memory that cannot be."""

    class Sketch:
        def check_data(self, *_, **__):
            torch.zeros(1, device="meta").item()

    monkeypatch.setattr("experiments.train.preflight._sketch", lambda config: Sketch())
    arguments = Namespace(root=str(workplace / "data/nyuv2"), crop=[48, 48], eval_size=None)
    data = Namespace(class_path="datamodules.NYUv2DataModule", init_args=arguments)
    config = Namespace(model=Namespace(init_args=Namespace(pretrained=True)), data=data)
    datamodule = check_before_weights(config, None, training=True)
    assert len(datamodule.train_set) == 4
    config.model.init_args.pretrained = False
    assert check_before_weights(config, None, training=True) is None


def test_the_crop_of_a_further_test_set_comes_before_training():
    plain = EvalProtocol("plain", 1e-3, 10.0)
    method = TinyMethod(protocol=plain, test_protocols=[EvalProtocol("cropped", 1e-3, 10.0, crop="eigen")])

    def data(name, size, variant=None):
        return described(name=name, variant=variant, frame_size=size)

    def check(*sets):
        method.check_data(described(test_sets=lambda: sets), training=True)

    check(data("rooms", (48, 64)), data("nyuv2", (480, 640)), data("nyuv2", (480, 640), variant="whole"))
    with pytest.raises(ValueError, match="`nyuv2`: protocol `cropped`: crop `eigen` is defined on 480x640 frames"):
        check(data("rooms", (48, 64)), data("nyuv2", (48, 64)))


def test_a_checkpoint_of_another_method_comes_before_all(line, workplace):
    path = workplace / "other.ckpt"
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2", "origin": {"method": "SHED", "data": ""}}, path)
    message = line("dpt_hybrid", "--ckpt_path", str(path), "--data.init_args.root", "nowhere", command="test")
    assert message.endswith("other.ckpt: is a checkpoint of SHED, but the configuration is of DPTHybrid")
    with pytest.raises(ConfigError, match="no such checkpoint"):
        check_checkpoint_method(workplace / "none.ckpt", "lightning_modules.SHED")


def data(batch, frames):
    return SimpleNamespace(process_batch_size=batch, batch_size=4, train_set=range(frames))


@pytest.mark.parametrize(("batch", "frames", "processes", "fits"), [
    (1, 9, 1, False), (4, 1, 1, False), (2, 9, 1, True), (4, 3, 1, True), (1, 9, 2, True),
])  # fmt: skip
def test_batch_norm_over_one_value(batch, frames, processes, fits):
    network = MultiHeadNetwork("mobilenetv3_small_100", "deeplabv3", {"depth": 1}, pretrained=False,
                               decoder_options={"decoder_channels": 8})  # fmt: skip
    if fits:
        check_batch_norm(network, data(batch, frames), processes)
        return
    with pytest.raises(ConfigError, match=r"training batches hold one frame .* pools a channel into one value"):
        check_batch_norm(network, data(batch, frames), processes)
    check_batch_norm(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)), data(batch, frames), processes)


def test_batch_norm_of_a_map_of_one_pixel_is_explained():
    with pytest.raises(ValueError, match="more than 1 value") as caught:
        nn.BatchNorm2d(3)(torch.zeros(1, 3, 1, 1))
    assert "batch normalisation has one value to go by" in explain_failure(caught.value)


@pytest.mark.parametrize(
    ("command", "flags", "idle"),
    [
        ("test", ["trainer.max_epochs", "model.init_args.optimizer.init_args.lr", "data.init_args.resize"], [0, 1]),
        ("exp", ["trainer.max_epochs", "run.tested"], []),
        ("fit", ["trainer.max_epochs", "run.tested"], [1]),
    ],
)
def test_flags_without_effect_are_said(command, flags, idle):
    assert idle_in_trainer(command, flags) == [flags[number] for number in idle]


def test_a_misspelt_metric_to_choose_by(monkeypatch):
    method = TinyMethod(protocol=EvalProtocol("plain", 1e-3, 10.0))
    check_monitor("val/abs_re", method)  # a method that is not the suite's may log what it likes
    monkeypatch.setattr(TinyMethod, "__module__", "lightning_modules.tiny")
    for monitor in (None, "val/abs_rel", "val/loss_depth", "val/delta1", "val/rmse_log10", "val/my_own_metric"):
        check_monitor(monitor, method)
    with pytest.raises(ConfigError, match="no metric `val/abs_re`; did you mean `val/abs_rel`"):
        check_monitor("val/abs_re", method)
