"""The method and the data set of docs/extending.md run as the page says, from an empty folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.config.new_method import write_method
from tests.contract.data_sets import write_scene_folders
from tests.contract.documented import PAGE, write_documented_files

ROOT = Path(__file__).parents[2]
COMMAND = "segdepth exp "

#: The installed command; the first is that of the Python that runs the tests.
SEGDEPTH = Path(sys.executable).with_name("segdepth")

#: Beside each of the page's commands: smaller and shorter.
SHORT = ["--trainer.max_epochs", "1", "--trainer.devices", "1", "--trainer.accelerator", "cpu"]
FEW_ROOMS = {"train_scenes": "4", "test_scenes": "1", "frames_per_scene": "2"}


def commands():
    """The page's commands, by experiment."""
    lines = [line.removeprefix(COMMAND).split() for line in PAGE.read_text().splitlines() if line.startswith(COMMAND)]
    return {Path(line[line.index("--config") + 1]).stem: line for line in lines}


def run(command, folder):
    """Run a command in a folder, with this checkout's segdepth, and return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SEGDEPTH_CACHE": str(folder / "c")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def train(command, experiment, data_set, folder):
    """Run a command of the page, small and short, and return the folder of its run."""
    few = [f"--data.init_args.rooms.{key}={value}" for key, value in FEW_ROOMS.items()] if data_set == "rooms" else []
    run([SEGDEPTH, "exp", *command, *SHORT, *few], folder)
    (made,) = (folder / "runs" / experiment).iterdir()
    assert f"test/{data_set}/abs_rel" in json.loads((made / "metrics.json").read_text())
    return made


def test_the_page_has_one_command_for_each():
    assert commands().keys() == {"depth_and_classes", "dpt_hybrid"}


def test_the_page_shows_what_new_method_writes(tmp_path):
    shown, written = tmp_path / "shown", tmp_path / "written"
    shown.mkdir()
    write_documented_files(shown)
    files = write_method("depth_and_classes", written)
    assert len(files) == 4
    for file in files:
        assert (shown / file.name).read_text() == file.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "data_set"), [("depth_and_classes", "rooms"), ("dpt_hybrid", "scene_folders")])
def test_a_command_trains_and_tests(experiment, data_set, tmp_path):
    write_documented_files(tmp_path)
    write_scene_folders(tmp_path / "my_scenes")
    train(commands()[experiment], experiment, data_set, tmp_path)


@pytest.mark.slow
def test_a_new_method_trains_tests_infers_and_passes_its_own_test(tmp_path):
    said = run([SEGDEPTH, "new", "method", "my_method"], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "my_method.py", "my_method_network.py", "my_method.yaml", "test_my_method.py"
    }  # fmt: skip
    assert "segdepth exp --config my_method.yaml --config profile/quick" in said
    made = train(["--config", "my_method.yaml", "--config", "profile/quick"], "my_method", "rooms", tmp_path)
    assert "class_path: my_method.MyMethod" in (made / "config.yaml").read_text()
    assert "3 passed" in run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_my_method.py"], tmp_path)
    panel = next((made / "panels").glob("*.png"))
    run([SEGDEPTH, "infer", str(made), str(panel), "--output", "out"], tmp_path)
    assert list((tmp_path / "out").rglob("*.png"))
