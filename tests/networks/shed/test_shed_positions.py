import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_modules.networks.shed.positions import sincos_positions

GOLDEN = Path(__file__).parents[3] / "../shared/reference/golden/positions.npz"


@pytest.mark.golden
@pytest.mark.skipif(not GOLDEN.exists(), reason=f"golden values absent: {GOLDEN}")
def test_equals_golden_table():
    torch.testing.assert_close(
        sincos_positions(6, 6, 16), torch.from_numpy(np.load(GOLDEN)["table"]).float(), rtol=0, atol=1e-6
    )


def test_quarters_on_a_grid_that_is_not_square():
    height, width, dim = 3, 5, 8
    table = sincos_positions(height, width, dim).double()
    for y in range(height):
        for x in range(width):
            expected = []
            for coordinate in (x, y):
                angles = [coordinate * 10000 ** (-k / (dim / 4)) for k in range(dim // 4)]
                expected += [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
            torch.testing.assert_close(
                table[y * width + x], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-6
            )
