"""Fields of a dataclass as arguments of a method: what the command line shows, takes and keeps."""

from dataclasses import dataclass, fields

import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser

from lightning_modules import SHED, GuidedMTINet
from lightning_modules.depth_module import DepthModule
from lightning_modules.flat_options import described, split_between
from lightning_modules.metrics import EvalProtocol
from lightning_modules.networks.mti_net.options import MTINetOptions
from lightning_modules.networks.shed.options import SHEDOptions

PROTOCOL = EvalProtocol("test", min_depth=1e-3, max_depth=10.0)
METHODS = {SHED: SHEDOptions, GuidedMTINet: MTINetOptions}
SMALL = {
    SHED: {"backbone": "resnet18+vit_tiny_patch16_224", "segments": (8, 4), "width": 16},
    GuidedMTINet: {"backbone": "resnet10t", "widths": (8, 8, 8, 8), "width": 16, "attention_dim": 8},
}


@dataclass(frozen=True)
class Sizes:
    """How large it is.

    Attributes:
        width: channels of the map,
            all of them.
        depth: number of layers.

    Raises:
        ValueError: never.
    """

    width: int = 8
    depth: int = 2


class Parent:
    """What is trained.

    Args:
        lr: step of the optimizer.
    """

    def __init__(self, *, lr: float = 0.1):
        self.lr = lr


split_sizes = split_between(Sizes, Parent)


class Child(Parent):
    """A method.

    Args:
        name: by which it is called.
        kwargs: see Sizes and Parent.
    """

    def __init__(self, *, name: str = "child", **kwargs):
        self.sizes, others = split_sizes(**kwargs)
        super().__init__(**others)


def parser_of(cls):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, "model", fail_untyped=False)
    return parser


def test_arguments_are_split_by_their_names():
    child = Child(depth=3, lr=1.0)
    assert child.sizes == Sizes(8, 3)
    assert child.lr == 1.0
    with pytest.raises(TypeError, match="unexpected keyword argument 'height'"):
        Child(height=3)


def test_the_command_line_has_each_field_with_type_default_and_help():
    parser = parser_of(Child)
    assert parser.get_defaults().model.as_dict() == {"name": "child", "width": 8, "depth": 2, "lr": 0.1}
    text = " ".join(parser.format_help().split())
    assert "--model.width WIDTH channels of the map, all of them. (type: int, default: 8)" in text
    assert "--model.lr LR step of the optimizer. (type: float, default: 0.1)" in text
    assert parser.instantiate(parser.parse_args(["--model.width=4"])).model.sizes.width == 4
    with pytest.raises(ArgumentError, match="width"):
        parser.parse_args(["--model.width=wide"])


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_every_option_of_a_method_is_described_and_an_argument(method):
    options = METHODS[method]
    parser = parser_of(method)
    text = " ".join(parser.format_help().split())
    for field in fields(options):
        assert f"\n    {field.name}: " in f"\n{described(options)}", field.name
        assert f"--model.{field.name} " in text
    defaults = parser.get_defaults().model
    assert {field.name: getattr(defaults, field.name) for field in fields(options)} == vars(options())
    assert {field.name for field in fields(options)}.isdisjoint(parser_of(DepthModule).get_defaults().model.as_dict())


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_hyper_parameters_stay_flat_and_build_the_same_network(method, tmp_path):
    """As in every checkpoint written before the options were one object."""
    module = method(protocol=PROTOCOL, pretrained=False, **SMALL[method])
    assert SMALL[method].items() <= module.hparams.items()
    assert {field.name for field in fields(METHODS[method])} <= module.hparams.keys()
    torch.save(
        {"hyper_parameters": dict(module.hparams), "hparams_name": "kwargs", "state_dict": module.state_dict(),
         "pytorch-lightning_version": "2.6.0"},
        tmp_path / "old.ckpt",
    )  # fmt: skip
    loaded = method.load_from_checkpoint(tmp_path / "old.ckpt", map_location="cpu", weights_only=False)
    for (name, mine), (other, theirs) in zip(module.named_parameters(), loaded.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(mine, theirs)
