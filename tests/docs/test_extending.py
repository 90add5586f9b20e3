"""The method and the data set of docs/extending.md run as the page says, from an empty folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.data_sets import write_scene_folders
from tests.contract.documented import PAGE, write_documented_files

ROOT = Path(__file__).parents[2]
COMMAND = "python -m experiments "

#: Beside each of the page's commands: smaller and shorter.
SHORT = ["--trainer.max_epochs", "1", "--trainer.devices", "1", "--trainer.accelerator", "cpu"]
FEW_ROOMS = {"train_scenes": "4", "test_scenes": "1", "frames_per_scene": "2"}


def commands():
    """The page's commands, by experiment."""
    lines = [line.removeprefix(COMMAND).split() for line in PAGE.read_text().splitlines() if line.startswith(COMMAND)]
    return {Path(line[line.index("--config") + 1]).stem: line for line in lines}


def test_the_page_has_one_command_for_each():
    assert commands().keys() == {"depth_and_classes", "dpt_hybrid"}


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "data_set"), [("depth_and_classes", "rooms"), ("dpt_hybrid", "scene_folders")])
def test_a_command_trains_and_tests(experiment, data_set, tmp_path):
    write_documented_files(tmp_path)
    write_scene_folders(tmp_path / "my_scenes")
    further = (
        [f"--data.init_args.rooms.{key}={value}" for key, value in FEW_ROOMS.items()] if data_set == "rooms" else []
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SEGDEPTH_CACHE": str(tmp_path / "c")}
    command = [sys.executable, "-m", "experiments", *commands()[experiment], *SHORT, *further]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    (run,) = (tmp_path / "runs" / experiment).iterdir()
    assert f"test/{data_set}/abs_rel" in json.loads((run / "metrics.json").read_text())
