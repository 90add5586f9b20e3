"""Every method becomes a file for torch alone, which predicts what the method predicts."""

import pytest
import torch

from experiments.export.program import export_program
from tests.contract.methods import METHODS


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_the_exported_program_predicts_the_same(name, ready, batch, tmp_path):
    method, whole = ready(name).method.eval(), batch()
    path = tmp_path / "method.pt2"
    assert export_program(method, whole, path) < 1e-4
    inputs = {key: torch.cat([whole[key], whole[key][:1]]) for key in ("image", *method.requires)}
    predicted = torch.export.load(path).module()(inputs)  # of another number of images
    with torch.no_grad():
        expected = method(inputs)
    for field in ("depth", "image_classes"):
        if (value := getattr(expected, field)) is not None:
            torch.testing.assert_close(predicted[field], value, rtol=1e-4, atol=1e-5)
