"""The same commands on two processes (gloo): one run, one folder, and the figures of one process."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from datamodules.samplers import TrainSampler
from tests.experiments.conftest import TINY
from tests.helpers.tiny_nyu import write_tiny_nyu

ROOT = Path(__file__).parents[2]


TINY_QUICK = ("--config", "profile/quick", "--config", "tiny.yaml")


def segdepth(folder, *arguments, options=TINY_QUICK, succeeds=True):
    environment = {**os.environ, "DATA_ROOT": str(folder / "data"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "experiments", *arguments, *options]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280)
    assert (result.returncode == 0) == succeeds, result.stderr[-3000:]
    return result.stdout + result.stderr


def figures(run):
    with (run / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    measured = json.loads((run / "metrics.json").read_text())
    return {key: float("nan") if value is None else value for key, value in measured.items()}, rows


@pytest.mark.ddp
def test_training_and_evaluation(tmp_path):
    write_tiny_nyu(tmp_path / "data" / "nyuv2", frames=14)  # seven test frames: uneven shards
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    network = ["--config", "shed_hybrid", "--model.init_args.segments", "[6, 4, 2]"]
    segdepth(tmp_path, "exp", *network, "--trainer.devices", "2", "--run.name", "two")
    runs = tmp_path / "runs" / "shed_hybrid"
    assert [run.name for run in runs.iterdir()] == ["two"]
    two, rows = figures(runs / "two")
    assert [int(row["index"]) for row in rows] == list(range(7, 14))
    assert len(list((runs / "two" / "wandb").glob("offline-run-*"))) == 1
    assert len(list((runs / "two" / "panels").glob("*.png"))) == 4

    checkpoint = runs / "two" / "checkpoints" / "best.ckpt"
    segdepth(tmp_path, "test", *network, "--ckpt_path", str(checkpoint), "--run.name", "one")
    one, _ = figures(runs / "one")
    assert one == pytest.approx(two, rel=1e-5, nan_ok=True)


@pytest.mark.ddp
def test_predictions_of_another_program(tmp_path):
    """Seven frames, four in one process and three in the other: tables and figures are those of one process."""
    write_tiny_nyu(tmp_path / "data" / "nyuv2", frames=14)
    (tmp_path / "mine").mkdir()
    guesses = np.random.default_rng(0).uniform(1, 5, (7, 24, 32)).astype(np.float32)
    for number, guess in enumerate(guesses, start=8):
        np.save(tmp_path / "mine" / f"{number:04d}.npy", guess)
    evaluated = []
    for devices in (1, 2):
        output = tmp_path / "out" / str(devices)
        arguments = ["--predictions", "mine", "--data", "nyuv2", "--protocol", "rooms", "--output", str(output)]
        segdepth(tmp_path, "evaluate", *arguments, "--devices", str(devices), "--accelerator", "cpu", options=())
        evaluated.append((figures(output), (output / "worst_nyuv2.png").read_bytes()))
    ((one, rows_of_one), sheet_of_one), ((two, rows_of_two), sheet_of_two) = evaluated
    assert one == pytest.approx(two, rel=1e-6, nan_ok=True)
    assert {"test/nyuv2/abs_rel", "test/nyuv2/object_delta1", "test/nyuv2/chamfer3d_recall"} <= one.keys()
    assert rows_of_one == rows_of_two
    assert [int(row["index"]) for row in rows_of_two] == list(range(7, 14))
    assert sheet_of_one == sheet_of_two


@pytest.mark.ddp
@pytest.mark.parametrize("rank", [0, 1])
def test_a_bad_frame_in_one_process_ends_both(tmp_path, rank):
    """The other process must not wait for gradients that never come."""
    write_tiny_nyu(tmp_path / "data" / "nyuv2", frames=14)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    position, _ = next(iter(TrainSampler(range(7), num_replicas=2, rank=rank)))
    with h5py.File(tmp_path / "data/nyuv2/nyu_depth_v2_labeled.mat", "r+") as file:
        file["depths"][position] = np.nan
    options = ["--config", "dpt_hybrid", "--data.init_args.val_scenes", "0", "--trainer.devices", "2"]
    output = segdepth(tmp_path, "fit", *options, succeeds=False)
    assert f"nyu_depth_v2_labeled.mat: key `depths`: frame {position} (0-based)" in output
    skipping = ["--data.init_args.on_bad_sample", "skip", "--run.name", "skipping"]
    output = segdepth(tmp_path, "fit", *options, *skipping)
    assert "skipped: " in output
    assert list((tmp_path / "runs/dpt_hybrid/skipping/checkpoints").glob("last.ckpt"))
