"""A run's model as a folder for huggingface_hub: it comes back with equal outputs, and its card says what it is."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image
from safetensors import safe_open

import segdepth
from experiments.__main__ import main
from experiments.config.error import ConfigError
from tests.experiments.conftest import tiny

ROOT = Path(__file__).parents[3]

#: Loads without a network, run and data, as another user would.
LOADER = """
import socket
def refuse(*_): raise OSError("no network here")
socket.socket.connect = refuse
import numpy as np, segdepth
model = segdepth.load(segdepth.ReleasedModel.from_pretrained("model"))
np.save("again.npy", model.infer(np.load("photo.npy")).depth)
"""

PHOTO = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)

pytestmark = pytest.mark.slow


@pytest.fixture
def released(workplace, capsys):
    """A run of SHED with its test, and its model in the folder `model`."""
    main(["exp", *tiny("shed_hybrid"), "--run.name", "one", "--trainer.logger", "false"])
    main(["export", "hub", "shed_hybrid", "--output", "model"])
    assert "model: README.md, config.json, model.safetensors; no licence is named" in capsys.readouterr().out
    return workplace


def test_it_comes_back_with_equal_outputs_and_says_what_it_is(released, monkeypatch, capsys):
    run = released / "runs" / "shed_hybrid" / "one"
    expected = segdepth.load(run).infer(PHOTO)
    metrics = json.loads((run / "metrics.json").read_text())

    # where neither the run nor its data are
    away = released / "away"
    away.mkdir()
    shutil.move(released / "model", away / "model")
    np.save(away / "photo.npy", PHOTO)
    shutil.move(run, released / "moved")
    monkeypatch.delenv("DATA_ROOT")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", LOADER], cwd=away, env=environment, check=True)
    np.testing.assert_array_equal(np.load(away / "again.npy"), expected.depth)

    again = segdepth.load(away / "model").infer(PHOTO)
    np.testing.assert_array_equal(again.depth, expected.depth)
    assert all(np.array_equal(a, b) for a, b in zip(again.segments, expected.segments, strict=True))
    assert again.scale_note == expected.scale_note

    card = ModelCard.load(away / "model" / "README.md")
    assert card.data.library_name == "segdepth"
    assert card.data.pipeline_tag == "depth-estimation"
    assert card.data.license is None
    abs_rel = f"{metrics['test/nyuv2/abs_rel']:.4f}"
    baseline = f"{metrics['test/nyuv2/baseline_abs_rel']:.4f}"
    assert f"| abs_rel | {abs_rel} | {baseline} |" in card.text
    assert "SHED" in card.text
    assert "protocol `rooms`" in card.text
    assert "| data | nyuv2, 2 frames |" in card.text
    assert str(released) not in (away / "model" / "config.json").read_text() + card.text  # no path of this machine

    with safe_open(away / "model" / "model.safetensors", "pt") as file:
        assert all(name.startswith("model.") for name in file.keys())  # noqa: SIM118

    Image.fromarray(PHOTO).save(away / "photo.png")
    main(["infer", str(away / "model"), str(away / "photo.png"), "--output", str(away / "out")])
    assert list((away / "out").rglob("*.png"))


def test_a_folder_that_is_there_is_kept_and_a_damaged_one_named(released):
    card = released / "model" / "README.md"
    before = card.read_text()
    with pytest.raises(SystemExit):
        main(["export", "hub", "shed_hybrid", "--output", "model"])
    assert card.read_text() == before
    weights = released / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ConfigError, match="model: no released model, or a damaged one"):
        segdepth.load("model")
    assert [path for path in released.iterdir() if path.name.startswith(".model")] == []
