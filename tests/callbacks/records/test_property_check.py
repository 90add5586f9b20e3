"""A property that fails inside is named, and is not taken for one that is not there."""

from pathlib import Path

import pytest
import torch
from torch import nn

from callbacks.records.property_check import check_properties, property_fault
from datamodules import NYUv2DataModule
from experiments.health.failures import explain_failure
from lightning_modules.metrics import EvalProtocol
from tests.helpers.tiny_method import TinyMethod


class Slip(TinyMethod):
    @property
    def normalization(self):
        return self.network.backbone_typo.mean, (1.0,) * 3

    @property
    def requires(self):
        return self.network.keys_typo


class SlipInData(NYUv2DataModule):
    @property
    def radial(self):
        return self.options.is_radial

    @property
    def input_size(self):
        return (1, 2) if self.radial else (3, 4)


def test_the_line_inside_is_named():
    method = Slip(protocol=EvalProtocol("tiny", 1e-3, 10.0))
    assert getattr(method, "normalization", "default") == "default"  # what Python makes of it
    with pytest.raises(
        ValueError, match=r"test_property_check\.py:\d+: property `Slip\.normalization` fails inside: .*typo"
    ):
        check_properties(method)


def test_a_property_that_reads_a_broken_one():
    fault = property_fault(SlipInData("nowhere"), "input_size")
    assert fault.endswith("fails inside: 'dict' object has no attribute 'is_radial'")
    line = int(fault.split(":")[1])
    assert "is_radial" in Path(__file__).read_text().splitlines()[line - 1]


def test_an_error_on_the_way_is_explained():
    method = Slip(protocol=EvalProtocol("tiny", 1e-3, 10.0))
    with pytest.raises(AttributeError) as caught:
        method.check_data(SlipInData("nowhere"))
    assert "property `Slip.requires` fails inside" in explain_failure(caught.value)


def test_what_works_or_says_itself_what_is_wrong_passes():
    check_properties(TinyMethod(protocol=EvalProtocol("tiny", 1e-3, 10.0)), NYUv2DataModule("nowhere"))
    assert property_fault(nn.Linear(1, 1), "weight") is None
    assert property_fault(torch.zeros(1), "no_such") is None
