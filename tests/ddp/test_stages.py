"""Training in stages on two processes: what is frozen changes, and DDP follows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from tests.experiments.train.test_staged_resume import EXPERIMENT, STAGES, differ, parts
from tests.helpers.tiny_nyu import write_tiny_nyu

ROOT = Path(__file__).parents[2]


@pytest.mark.ddp
@pytest.mark.timeout(600)
def test_two_processes_go_through_all_stages(tmp_path):
    write_tiny_nyu(tmp_path / "data" / "nyuv2", frames=20)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    environment = {**os.environ, "DATA_ROOT": str(tmp_path / "data"), "SEGDEPTH_CACHE": str(tmp_path / "cache"),
                   "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}  # fmt: skip
    command = [sys.executable, "-m", "experiments", "fit", "--config", "tiny.yaml", "--trainer.devices", "2",
               "--run.name", "two", "--model.init_args.stage_epochs", "{generation: 1}"]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / "runs/tiny/two/checkpoints"
    left = [
        torch.load(folder / f"stage_{number}_{stage['name']}.ckpt", weights_only=True)
        for number, stage in enumerate(STAGES)
    ]
    for before, after, stage in zip(left, left[1:], STAGES[1:], strict=False):
        for part in ("generation", "refinement"):
            assert differ(parts(before)[part], parts(after)[part]) == (part in stage["trains"]), (stage["name"], part)
