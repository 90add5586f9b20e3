"""Weights alone, as other programs leave them, are loaded where they fit, and else say which option takes them."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from experiments.config.compose import ConfigError
from experiments.train.plain_weights import fit_weights, plain_weights
from lightning_modules.metrics import EvalProtocol
from tests.helpers.tiny_method import TinyMethod


@pytest.fixture
def method():
    return TinyMethod(protocol=EvalProtocol("tiny", 1e-3, 10.0))


def wrapped(method, prefix):
    return {prefix + name: value for name, value in method.state_dict().items()}


@pytest.mark.parametrize(
    "content",
    [
        lambda method: method.state_dict(),
        lambda method: method.network.state_dict(),
        lambda method: wrapped(method, "module."),
        lambda method: {"model": wrapped(method, "module.model."), "epoch": 3},
        lambda method: {"state_dict": wrapped(method.network, "_orig_mod."), "args": "text"},
        lambda method: {**method.state_dict(), "head.extra": torch.zeros(3)},
    ],
    ids=["own", "network", "module", "nested", "compiled", "more"],
)
@pytest.mark.parametrize("old", [False, True])
def test_weights_that_fit_are_taken(tmp_path, method, content, old):
    path = tmp_path / "weights.pth"
    torch.save(content(method), path, _use_new_zipfile_serialization=not old)
    taken = fit_weights(plain_weights(path), TinyMethod(protocol=EvalProtocol("tiny", 1e-3, 10.0)), path)
    assert taken.keys() == method.state_dict().keys()
    assert all(torch.equal(taken[name], value) for name, value in method.state_dict().items())


def test_safetensors_are_taken(tmp_path, method):
    save_file(method.state_dict(), path := tmp_path / "weights.safetensors")
    assert fit_weights(plain_weights(path), method, path).keys() == method.state_dict().keys()
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ConfigError, match=r"weights\.safetensors: no file of weights, or a damaged one"):
        plain_weights(path)


def test_what_does_not_fit_is_one_line(tmp_path, method):
    path = tmp_path / "weights.pth"
    weights = method.state_dict()
    method.network[4] = nn.Conv2d(8, 13, 3)
    with pytest.raises(ConfigError, match=r"weights\.pth: `network\.4\.weight` is \(1, 8, 3, 3\) in the file and"):
        fit_weights(weights, method, path)
    with pytest.raises(ConfigError, match=r"has none of the weights of TinyMethod by name .*its first is `blocks\.0`"):
        fit_weights({"blocks.0": torch.zeros(1)}, method, path)
    method.load_checkpoint = None
    with pytest.raises(ConfigError, match=r"released are loaded with `--model\.init_args\.checkpoint .*weights\.pth`"):
        fit_weights({"blocks.0": torch.zeros(1)}, method, path)


def test_other_files_are_left_to_others(tmp_path, method):
    checkpoint = {"state_dict": method.state_dict(), "pytorch-lightning_version": "2.6"}
    for content in (checkpoint, {"state_dict": {"a": "text"}}, [1, 2], {}):
        torch.save(content, path := tmp_path / "x.ckpt")
        assert plain_weights(path) is None
    path.write_text("no file of weights")
    assert plain_weights(path) is None
    assert plain_weights(tmp_path / "missing.ckpt") is None
