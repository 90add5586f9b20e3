"""Two processes, a signal to one of them: both stop after the same step, and go on as if nothing had been."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from tests.experiments.train.test_resume import EXPERIMENT, assert_same, weights
from tests.helpers.tiny_nyu import write_tiny_nyu

ROOT = Path(__file__).parents[2]

#: Started by Lightning for the second process as well; the signal is sent to one of them.
SCRIPT = """
import os, signal, sys
from callbacks import LastCheckpoint
from experiments.__main__ import main
from tests.helpers.killed_runs import Events

LastCheckpoint.__init__.__defaults__ = (None, 2)
if os.environ.get("LOCAL_RANK", "0") == os.environ["SIGNALLED"]:
    Events(None, ("train", "on_train_batch_start", "1", "4", "1"), signal.SIGTERM).watch()
main(sys.argv[1:])
"""


def fit(place, name, signalled="nobody"):
    environment = {**os.environ, "DATA_ROOT": str(place / "data"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
                   "SIGNALLED": signalled}  # fmt: skip
    arguments = ["fit", "--config", "tiny.yaml", "--trainer.devices", "2", "--run.name", name, "--run.resume", "true"]
    command = [sys.executable, "script.py", *arguments]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=250)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with data, the experiment, and the run `whole` that nothing interrupts."""
    folder = tmp_path_factory.mktemp("resume")
    write_tiny_nyu(folder / "data" / "nyuv2", frames=20)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    (folder / "script.py").write_text(SCRIPT)
    whole = fit(folder, "whole")
    assert whole.returncode == 0, whole.stderr[-3000:]
    return folder


@pytest.mark.ddp
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_signal_to_one_process_stops_both(place, rank):
    name = f"stopped-{rank}"
    stopped = fit(place, name, rank)
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr[-3000:]
    saved = torch.load(place / "runs/tiny" / name / "checkpoints/last.ckpt", weights_only=True)
    assert saved["global_step"] == 5
    assert len(saved["exact_resume"]) == 2
    resumed = fit(place, name)
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert "resumed at epoch 1, batch 2, step 5" in resumed.stdout + resumed.stderr
    assert_same(weights(place, name), weights(place, "whole"))
