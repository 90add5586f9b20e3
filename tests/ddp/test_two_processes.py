"""The same commands on two processes (gloo): one run, one folder, and the figures of one process."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.experiments.conftest import TINY
from tests.helpers.tiny_nyu import write_tiny_nyu

ROOT = Path(__file__).parents[2]


def segdepth(folder, *arguments):
    environment = {**os.environ, "DATA_ROOT": str(folder / "data"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "experiments", *arguments, "--config", "profile/quick", "--config", "tiny.yaml"]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stderr[-3000:]


def figures(run):
    with (run / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    return json.loads((run / "metrics.json").read_text()), rows


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
    assert one == pytest.approx(two, rel=1e-5)
