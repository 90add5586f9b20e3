"""`segdepth new method`: its files are sound, and nothing is overwritten or hidden by them."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from experiments.__main__ import main
from experiments.config.error import ConfigError
from experiments.config.new_method import method

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_four_files_under_the_name_that_name_each_other(empty):
    main(["new", "method", "my_net2"])
    texts = {path.name: path.read_text() for path in empty.iterdir()}
    assert texts.keys() == {"my_net2.py", "my_net2_network.py", "my_net2.yaml", "test_my_net2.py"}
    assert not any("depth_and_classes" in text or "DepthAndClasses" in text for text in texts.values())
    assert "class MyNet2(DepthModule)" in texts["my_net2.py"]
    assert "from my_net2_network import MyNet2Network" in texts["my_net2.py"]
    assert "from my_net2 import MyNet2" in texts["test_my_net2.py"]
    assert yaml.safe_load(texts["my_net2.yaml"])["model"]["class_path"] == "my_net2.MyNet2"


def test_they_are_as_tidy_as_the_suite(empty):
    method("my_method")
    rules = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    ignored = ["--ignore", "D103"]  # tests have no docstrings in the suite either
    subprocess.run([sys.executable, "-m", "ruff", "check", *rules, *ignored, "."], cwd=empty, check=True)
    subprocess.run([sys.executable, "-m", "ruff", "format", "--check", *rules, "."], cwd=empty, check=True)


@pytest.mark.parametrize("taken", ["mine.py", "mine_network.py", "mine.yaml", "test_mine.py"])
def test_a_file_that_is_there_is_kept_and_nothing_written(taken, empty):
    (empty / taken).write_text("of the user")
    with pytest.raises(ConfigError, match=f"{taken}: is there already"):
        method("mine")
    assert [path.name for path in empty.iterdir()] == [taken]
    assert (empty / taken).read_text() == "of the user"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("my-method", "no name of a Python module"),
        ("2nd", "no name of a Python module"),
        ("class", "no name of a Python module"),
        ("../mine", "no name of a Python module"),
        ("a.b", "no name of a Python module"),
        ("_mine", "no name of a Python module"),
        ("", "no name of a Python module"),
        ("torch", "Python has a module of that name"),
        ("callbacks", "Python has a module of that name"),
        ("json", "Python has a module of that name"),
        ("shed_hybrid", "is an experiment of segdepth"),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_one_line(name, reason, empty):
    with pytest.raises(ConfigError, match=reason) as raised:
        method(name)
    assert "\n" not in str(raised.value)
    assert list(empty.iterdir()) == []


def test_another_folder_is_made(empty):
    main(["new", "method", "mine", "--output", "methods/here"])
    assert len(list((empty / "methods" / "here").iterdir())) == 4
