"""What `predict` writes: the method's own depth, or the same at the size of the truth."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from callbacks import PredictionWriter
from lightning_modules.metrics import EvalProtocol
from lightning_modules.prediction import Prediction

#: A protocol that changes all it can: none of it may reach the files.
PROTOCOL = EvalProtocol("changes", 1.0, 2.0, alignment="median", align_corners=True, unit=10.0)


@pytest.fixture
def write(tmp_path):
    """Writes a batch of two frames; gives the folder of files."""

    def write_(depth, **options):
        trainer = SimpleNamespace(
            datamodule=SimpleNamespace(test_names=lambda: ["first", "second"]), default_root_dir=str(tmp_path)
        )
        truth = torch.full((2, 1, 12, 16), 1.5)
        batch = {"depth": truth, "valid": truth > 0, "index": torch.tensor([0, 1448])}
        method = SimpleNamespace(protocol_of=[None, PROTOCOL].__getitem__)
        PredictionWriter(**options).write_on_batch_end(trainer, method, Prediction(depth), None, batch, 0, 1)
        return tmp_path / "predictions" / "second"

    return write_


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_very_values(write, dtype):
    depth = (20 * torch.rand(2, 1, 6, 8, generator=torch.Generator().manual_seed(0)) - 1).to(dtype)
    depth[0, 0, 0, 0] = torch.nan
    folder = write(depth)
    assert sorted(path.name for path in folder.iterdir()) == ["0001.npy", "1449.npy"]
    for name, expected in zip(("0001.npy", "1449.npy"), depth.float().numpy(), strict=True):
        written = np.load(folder / name)
        assert written.dtype == np.float32
        np.testing.assert_array_equal(written, expected[0])


def test_full_size(write):
    depth = 20 * torch.rand(2, 1, 6, 8, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(depth, (12, 16), mode="bilinear", align_corners=True)[:, 0].numpy()
    folder = write(depth, full_size=True)
    np.testing.assert_array_equal(np.load(folder / "0001.npy"), expected[0])
    np.testing.assert_array_equal(np.load(folder / "1449.npy"), expected[1])
