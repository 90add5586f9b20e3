"""The private steps of LightningCLI that the command line replaces are still there, and still taken."""

import inspect

import lightning
import pytest
from lightning.pytorch.cli import LightningCLI

from experiments.train.lightning_cli_internals import OpenCLI


@pytest.mark.parametrize("name", ["_set_seed", "_parse_ckpt_path"])
def test_the_replaced_steps_are_steps_of_the_cli(name):
    said = f"LightningCLI.{name} is not what it was, in lightning {lightning.__version__}"
    assert callable(getattr(LightningCLI, name, None)), said
    assert list(inspect.signature(getattr(LightningCLI, name)).parameters) == ["self"], said
    assert f"self.{name}()" in inspect.getsource(LightningCLI.__init__), said
    assert name in vars(OpenCLI)


def test_a_subcommand_has_a_parser():
    said = f"LightningCLI._parser is not what it was, in lightning {lightning.__version__}"
    assert list(inspect.signature(LightningCLI._parser).parameters) == ["self", "subcommand"], said
