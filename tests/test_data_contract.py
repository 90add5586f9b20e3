"""What methods and data promise each other: keys of a batch, what data are asked for, normalisation of images."""

from typing import get_args, get_origin, get_type_hints

import pytest
from torch import nn

import datamodules
from datamodules import DepthDataModule, HyperSimDataModule, NYUv2DataModule, RoomsDataModule, Variant
from datamodules.rooms import RoomsParameters
from datamodules.sample import Sample
from lightning_modules.batch import Batch
from lightning_modules.data_checks import check_normalization
from lightning_modules.depth_data import DepthData
from lightning_modules.metrics import EvalProtocol
from tests.helpers.described_data import described
from tests.helpers.tiny_method import TinyMethod

PROTOCOL = EvalProtocol("tiny", 1e-3, 10.0)
MODULES = [
    module
    for module in (getattr(datamodules, name) for name in datamodules.__all__)
    if isinstance(module, type) and issubclass(module, DepthDataModule)
]
SMALL = RoomsParameters(height=48, width=64, train_scenes=4, test_scenes=2, frames_per_scene=1)


class WithoutBackbone(TinyMethod):
    normalization = TinyMethod.__mro__[1].normalization


def test_a_batch_has_the_keys_of_samples():
    assert get_type_hints(Batch).keys() == get_type_hints(Sample).keys()
    assert Batch.__required_keys__ == Sample.__required_keys__


@pytest.mark.parametrize("module", MODULES)
def test_every_data_module_has_what_a_method_may_ask_for(module):
    members = {name for name in vars(DepthData) if not name.startswith("_")}
    assert members >= {"name", "classes", "radial", "provides", "frame_size", "test_sets", "hint"}
    assert [name for name in members if not hasattr(module, name) and name not in ("crop", "variant")] == []


def is_of(value, annotation):
    if get_origin(annotation) is tuple:
        return isinstance(value, tuple | list) and all(map(isinstance, value, get_args(annotation)))
    return isinstance(value, get_origin(annotation) or annotation)


def test_what_a_data_module_answers_is_of_the_right_kind(tmp_path):
    made = RoomsDataModule(
        str(tmp_path), rooms=SMALL, crop=(48, 48), eval_size=None, variants={"wide": Variant((48, 96))}
    )
    made.prepare_data()
    made.setup("test")
    sets = made.test_sets()
    assert [data.variant is not None for data in sets] == [False, True]
    for data in sets:
        assert isinstance(data, DepthData)
        for name, member in vars(DepthData).items():
            if isinstance(member, property) and name not in ("variant", "splits"):
                assert is_of(getattr(data, name), get_type_hints(member.fget)["return"]), name
        assert data.frame_size == (48, 64)
        assert len(data.splits.train) == 4
        assert data.hint("nothing")
        assert sorted(data.class_order()) == list(range(1, 41))


def test_only_hypersim_may_have_distances():
    assert not NYUv2DataModule("nowhere", depth="raw").radial
    assert not HyperSimDataModule("nowhere").radial
    assert HyperSimDataModule("nowhere", depth="distance").radial
    assert NYUv2DataModule("nowhere").classes == HyperSimDataModule("nowhere").classes == 40
    assert NYUv2DataModule("nowhere", classes=13).classes == 13


def test_a_network_without_backbone_declares_nothing():
    method = WithoutBackbone(protocol=PROTOCOL)
    with pytest.raises(ValueError, match="WithoutBackbone declares no `normalization`"):
        method.check_data(described(), training=True)
    data = NYUv2DataModule("nowhere")
    data.trainer = type("Trainer", (), {"lightning_module": method})()
    with pytest.raises(ValueError, match="WithoutBackbone declares no `normalization`"):  # ImageNet's are not guessed
        _ = data.normalization
    method.network.backbone = nn.Module()
    method.network.backbone.mean, method.network.backbone.std = (0.1,) * 3, (0.2,) * 3
    method.check_data(described(), training=True)
    assert data.normalization == ((0.1,) * 3, (0.2,) * 3)


@pytest.mark.parametrize(
    "declared",
    [
        None, (0.5, 0.5, 0.5), ((0.5,) * 3,), ((0.5,) * 3, (0.2,) * 4), ((0.5,) * 3, (0.2, 0.0, 0.2)),
        ((0.5,) * 3, (0.2, -1.0, 0.2)), ((float("nan"),) * 3, (0.2,) * 3), (("a", "b", "c"), (0.2,) * 3),
    ],
)  # fmt: skip
def test_what_is_no_normalization_is_refused(declared):
    with pytest.raises(ValueError, match="Method: `normalization` must be mean and standard deviation of RGB"):
        check_normalization("Method", declared)
    check_normalization("Method", ((0, 0, 0), [1, 1, 1]))
