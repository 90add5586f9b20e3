"""Every method becomes a file for torch alone, which predicts what the method predicts.

That such a file takes any number of images and needs nothing of the suite is in tests/experiments/export.
"""

import pytest

from experiments.export.program import export_program
from tests.contract.methods import METHODS


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_the_exported_program_predicts_the_same(name, ready, batch, tmp_path):
    assert export_program(ready(name).method.eval(), batch(), tmp_path / "method.pt2") < 1e-4
