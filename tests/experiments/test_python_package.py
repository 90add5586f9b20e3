"""`import segdepth`: a run's method, metrics and data sets in programs of one's own."""

import importlib
import os
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import datamodules
import lightning_modules.metrics
import segdepth
from experiments.__main__ import main
from tests.experiments.conftest import tiny

ROOT = Path(__file__).parents[2]

#: A program of a user's.
PROGRAM = """
from PIL import Image
import numpy as np, segdepth

model = segdepth.load("runs/dpt_hybrid/one")
prediction = model.infer(Image.open("photo.png"))
assert isinstance(prediction, segdepth.DepthPrediction) and isinstance(model, segdepth.Predictor)
np.save("depth.npy", prediction.depth)
"""


def test_it_offers_metrics_and_data_modules_under_their_names():
    assert {name: getattr(segdepth.metrics, name) for name in segdepth.metrics.__all__} == {
        name: getattr(lightning_modules.metrics, name) for name in lightning_modules.metrics.__all__
    }
    assert segdepth.datasets.NYUv2DataModule is datamodules.NYUv2DataModule
    assert set(segdepth.datasets.__all__) == set(datamodules.__all__)
    assert segdepth.__version__ == version("segdepth")
    assert set(dir(segdepth)) == set(segdepth.__all__)


def test_a_metric_of_it_measures():
    protocol = segdepth.metrics.EvalProtocol("plain", min_depth=0.1, max_depth=10.0)
    errors = segdepth.metrics.DepthErrors(protocol)
    errors.update(
        torch.full((1, 1, 2, 2), 3.0), torch.full((1, 1, 2, 2), 2.0), torch.ones(1, 1, 2, 2, dtype=torch.bool)
    )
    assert float(errors.compute()["abs_rel"]) == pytest.approx(0.5)


def test_every_package_that_ships_says_that_it_is_typed():
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    for pattern in shipped:
        folder = Path(importlib.import_module(pattern.removesuffix("*")).__file__).parent
        assert (folder / "py.typed").is_file()


@pytest.mark.slow
def test_a_program_infers_with_a_run(workplace):
    main(["fit", *tiny("dpt_hybrid"), "--run.name", "one", "--trainer.logger", "false"])
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photo.png")
    subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=workplace, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True
    )
    depth = np.load("depth.npy")
    assert depth.shape == (60, 90)
    assert depth.dtype == np.float32
    # the same pixels as a tensor
    again = segdepth.load(workplace / "runs/dpt_hybrid/one").infer(torch.from_numpy(pixels).permute(2, 0, 1))
    np.testing.assert_allclose(again.depth, depth, rtol=1e-5)
