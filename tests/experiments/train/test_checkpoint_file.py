"""Checkpoints that are none, or another experiment's, are refused by name."""

import pytest
import torch
from torch import nn

from callbacks.checkpoints.checkpoint_io import AtomicCheckpointIO
from experiments.config.compose import ConfigError
from experiments.train.checkpoint_file import check_checkpoint, read_checkpoint
from lightning_modules.metrics import EvalProtocol
from tests.helpers.tiny_method import TinyMethod


class Data:
    name = "nyuv2"


@pytest.fixture
def method():
    return TinyMethod(protocol=EvalProtocol("tiny", 1e-3, 10.0))


@pytest.fixture
def stored(tmp_path, method):
    """A function that writes a checkpoint of the method with something changed."""

    def write(**changes):
        content = {
            "state_dict": method.state_dict(),
            "pytorch-lightning_version": "2.6",
            "origin": {"method": "TinyMethod", "data": "nyuv2"},
            "loops": {"fit_loop": {}},
            "optimizer_states": [],
            "lr_schedulers": [],
            "epoch": 0,
            "global_step": 0,
            **changes,
        }
        AtomicCheckpointIO().save_checkpoint(content, tmp_path / "x.ckpt")
        return tmp_path / "x.ckpt"

    return write


def test_its_own_is_taken(method, stored):
    check_checkpoint(stored(), method, Data(), training=True)
    check_checkpoint(stored(origin={"method": "TinyMethod", "data": "rooms"}), method, Data(), training=False)


def test_another_methods_is_refused(method, stored):
    with pytest.raises(ConfigError, match="checkpoint of SHED, but the configuration is of TinyMethod"):
        check_checkpoint(stored(origin={"method": "SHED", "data": "nyuv2"}), method, Data(), training=False)


def test_training_does_not_go_on_with_other_data(method, stored):
    with pytest.raises(ConfigError, match="was trained on rooms, which `nyuv2` cannot resume"):
        check_checkpoint(stored(origin={"method": "TinyMethod", "data": "rooms"}), method, Data(), training=True)


def test_other_shapes_are_named(method, stored):
    path = stored()
    method.network[4] = nn.Conv2d(8, 13, 3)
    with pytest.raises(ConfigError, match=r"`network\.4\.bias` is \(1,\) in the checkpoint and \(13,\) in this"):
        check_checkpoint(path, method, Data(), training=False)
    method.network[4] = nn.Identity()
    with pytest.raises(ConfigError, match=r"`network\.4\.bias` is \(1,\) in the checkpoint and not there in this"):
        check_checkpoint(path, method, Data(), training=False)


class Surprise:
    def __reduce__(self):
        return (print, ("code was run",))


def test_what_is_no_checkpoint_is_refused(tmp_path, stored, capsys):
    with pytest.raises(ConfigError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "missing.ckpt")
    (tmp_path / "notes.ckpt").write_text("not a checkpoint")
    with pytest.raises(ConfigError, match=r"notes\.ckpt: not a checkpoint, or a damaged one"):
        read_checkpoint(tmp_path / "notes.ckpt")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "weights.ckpt")
    with pytest.raises(ConfigError, match="no `state_dict`"):
        read_checkpoint(tmp_path / "weights.ckpt")
    with pytest.raises(ConfigError, match="Python objects, which could run any code"):
        read_checkpoint(stored(extra=Surprise()))
    assert "code was run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"state_dict": {"network.4.bias": "text"}}, r"`network\.4\.bias` of `state_dict` is str, not a tensor"),
        ({"state_dict": [1]}, "`state_dict` is list, not weights by name"),
        ({"origin": "SHED"}, "`origin` is str, not method and data"),
        ({"origin": {"method": 3}}, "`origin` does not name method and data"),
        ({"loops": "fit"}, "`loops` is str, not the place in the training"),
        ({"optimizer_states": {}}, "`optimizer_states` is dict, not a list of states"),
        ({"epoch": "one"}, "`epoch` is str, not a number"),
        ({"loops": {}}, "has weights, but no `loops`: training cannot be resumed from it"),
    ],
)
def test_content_that_is_not_what_it_should_be_is_one_line(method, stored, changes, line):
    with pytest.raises(ConfigError, match=rf"x\.ckpt: {line}") as error:
        check_checkpoint(stored(**changes), method, Data(), training=True)
    assert "\n" not in str(error.value)


def test_the_file_before_is_named(tmp_path, stored):
    path = stored().rename(tmp_path / "last.ckpt")
    whole = path.read_bytes()
    (tmp_path / "last-previous.ckpt").write_bytes(whole)
    path.write_bytes(whole[:-40])
    with pytest.raises(
        ConfigError, match=r"last\.ckpt: not a checkpoint, or a damaged one .*last-previous\.ckpt is whole"
    ):
        read_checkpoint(path)
