"""Every method with a depth predicts a mirrored batch, whatever it reads: its disagreement is an uncertainty."""

import pytest
import torch

from lightning_modules.mirrored import mirror, with_flip_uncertainty
from tests.contract.methods import METHODS


@pytest.mark.parametrize("name", METHODS)
def test_a_mirrored_batch_is_predicted(name, ready, batch):
    method = ready(name).method.eval()
    with torch.no_grad():
        prediction, mirrored = method(batch()), method(mirror(batch()))
    if not method.predicts_depth:
        assert with_flip_uncertainty(prediction, mirrored) is prediction
        return
    found = with_flip_uncertainty(prediction, mirrored)
    assert type(found) is type(prediction)
    assert found.uncertainty.shape == found.depth.shape
    assert found.uncertainty.isfinite().all()
    torch.testing.assert_close(found.uncertainty, (prediction.depth - mirrored.depth.flip(-1)).abs().float() / 2)
