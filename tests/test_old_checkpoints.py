"""Checkpoints from when the options of the evaluation were one flat list are built as they were."""

import pytest
import torch

from lightning_modules.evaluation import EvaluationOptions
from lightning_modules.metrics import EvalProtocol
from tests.helpers.tiny_method import TinyMethod

INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"
PROTOCOL = {"name": "tiny", "min_depth": 0.1, "max_depth": 10.0}


def save(path, method, evaluation):
    """A checkpoint as LightningCLI writes it: with the options of the configuration."""
    stored = {
        "protocol": PROTOCOL,
        "evaluation": evaluation,
        "_instantiator": "lightning.pytorch.cli.instantiate_module",
    }
    torch.save(
        {"state_dict": method.state_dict(), "hyper_parameters": stored, "pytorch-lightning_version": "2.6.0"}, path
    )


@pytest.mark.parametrize("options", [{}, {"map_location": "cpu", "weights_only": True}])
def test_flat_options_are_those_of_their_groups(tmp_path, options):
    method = TinyMethod(protocol=EvalProtocol(**PROTOCOL))
    save(
        tmp_path / "old.ckpt", method, {"groups": ["cloud"], "cloud_stride": 3, "unit": None, "boundary": {"low": 0.1}}
    )
    with pytest.warns(FutureWarning, match=r"`cloud_stride` is now `cloud\.stride`"):
        loaded = TinyMethod.load_from_checkpoint(tmp_path / "old.ckpt", **options)
    assert loaded.evaluation == EvaluationOptions(("cloud",), cloud={"stride": 3}, boundary={"low": 0.1})
    for name, weight in method.state_dict().items():
        assert loaded.state_dict()[name].equal(weight)


@pytest.mark.filterwarnings("error::FutureWarning")
def test_options_by_group_stay(tmp_path):
    save(tmp_path / "new.ckpt", TinyMethod(protocol=EvalProtocol(**PROTOCOL)), {"cloud": {"stride": 3}})
    loaded = TinyMethod.load_from_checkpoint(tmp_path / "new.ckpt")
    assert loaded.evaluation == EvaluationOptions(cloud={"stride": 3})
