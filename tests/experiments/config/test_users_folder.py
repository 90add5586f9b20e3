"""Modules in the folder that a command is started in are found, and take the place of nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.__main__ import main
from experiments.config.users_folder import OWN, OWN_ROOT, importable_folder

ROOT = Path(__file__).parents[3]

#: As the `segdepth` script runs it: the current folder is not on Python's path.
SCRIPT = [sys.executable, "-P", "-c", "from experiments.__main__ import main; main()"]
MODULE = [sys.executable, "-m", "experiments"]
COMMANDS = [pytest.param(SCRIPT, id="script"), pytest.param(MODULE, id="module", marks=pytest.mark.slow)]

METHOD = '''
from torch import nn
from lightning_modules import DepthModule, Prediction

class Mine(DepthModule):
    """A method of the user's."""
    normalization = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))

    def __init__(self, *, width: int = 3, **kwargs):
        super().__init__(**kwargs)
        self.network = nn.Conv2d(3, 1, width, padding=width // 2)

    def forward(self, batch):
        return Prediction(depth=self.network(batch["image"]).exp())
'''

CONFIG = """
base: [base/trainer, data/rooms]
model:
  class_path: my_method.Mine
  init_args: {width: 5}
"""


@pytest.fixture
def users(tmp_path):
    """A folder of a user's, with a method and an experiment."""
    (tmp_path / "my_method.py").write_text(METHOD)
    (tmp_path / "mine.yaml").write_text(CONFIG)
    return tmp_path


def run(command, folder, *paths):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*paths, ROOT])), "OMP_NUM_THREADS": "1"}
    command = [*command, "fit", "--config", "mine.yaml", "--print_config"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_module_of_the_current_folder_is_found(command, users):
    done = run(command, users)
    assert done.returncode == 0, done.stderr
    assert "class_path: my_method.Mine" in done.stdout
    assert "not imported" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("begins", [True, False], ids=["package", "folder"])
def test_a_folder_named_as_one_of_ours_takes_no_place_and_that_is_said(command, begins, users):
    (users / "callbacks").mkdir()
    (users / "callbacks" / "mine.py").write_text("raise RuntimeError('imported')")
    if begins:
        (users / "callbacks" / "__init__.py").write_text("raise RuntimeError('imported')")
    done = run(command, users)
    assert done.returncode == 0, done.stderr
    assert "class_path: callbacks." in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if "not imported" in line]
    assert f"{users}: `callbacks`" in line


def test_a_folder_that_python_puts_before_ours_is_named(users):
    other = users / "other"
    (other / "datamodules").mkdir(parents=True)
    (other / "datamodules" / "__init__.py").touch()
    done = run(SCRIPT, users, other)
    assert done.returncode == 2
    assert f"takes {other / 'datamodules'} for segdepth's package `datamodules`" in done.stderr


def test_pictures_of_that_name_are_no_clash(users, monkeypatch, capsys):
    (users / "experiments").mkdir()
    (users / "experiments" / "notes.yaml").touch()
    monkeypatch.chdir(users)
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    assert "not imported" not in capsys.readouterr().err


def test_the_current_folder_comes_last_and_only_while_a_command_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = [folder for folder in sys.path if folder != str(OWN_ROOT)]
    monkeypatch.setattr(sys, "path", ["", *before])
    with importable_folder():
        assert sys.path == [*before, str(OWN_ROOT), str(tmp_path)]
    assert sys.path == ["", *before]


def test_own_packages_are_those_that_ship():
    assert set(OWN) == {path.parent.name for path in OWN_ROOT.glob("*/py.typed")}
