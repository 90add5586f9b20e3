"""The five commands of docs/own_data.md, on a user's folder of 20 frames."""

import csv
import json
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

from experiments.__main__ import main
from experiments.results.run_folder import RUN_ENVIRONMENT
from tests.helpers.own_frames import describe, millimetres, picture, surface

PAGE = Path(__file__).parents[2] / "docs/own_data.md"

#: Scenes, and how frames in them are called.
SCENES = {"Küche (oben)": "Bild {} ä", "salle à manger": "image n° {}", "Flur": "{}", "客厅": "照片 {}"}


#: An epoch is enough to see every command work.
SHORT = ("--trainer.max_epochs", "1", "--trainer.check_val_every_n_epoch", "1")


def five_commands():
    text = PAGE.read_text(encoding="utf-8")
    block = re.search(r"Five commands from frames to a comparison:\n\n```\n(.*?)```", text, re.DOTALL)
    return [shlex.split(line)[1:] for line in block[1].splitlines()]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder to work in, with twenty frames in `my frames`."""
    random = np.random.default_rng(0)
    for number in range(20):
        scene, name = list(SCENES.items())[number // 5]
        size = (120, 160)
        noisy = surface(number, size) * random.uniform(0.99, 1.01, size)
        for kind, ending, values in (("rgb", ".jpg", picture(number, size)), ("depth", ".png", millimetres(noisy))):
            path = tmp_path / "my frames" / kind / scene / f"{name.format(number)}{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(ending, values)[1].tobytes())
    text = re.search(r"```yaml\n# dataset\.yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    (describe(tmp_path / "my frames") / "dataset.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("DATA_ROOT", raising=False)
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_five_commands(workplace, monkeypatch, capsys):
    commands = five_commands()
    assert len(commands) == 5
    for arguments in commands:
        monkeypatch.delenv(RUN_ENVIRONMENT, raising=False)
        main([*arguments, *(SHORT if arguments[0] == "exp" else ())])
    printed = capsys.readouterr().out
    assert "my_kitchen: 20 frames read (train 10, val 5, test 5)" in printed
    assert "0 broken" in printed
    for experiment in ("dpt_hybrid", "shed_hybrid"):
        (run,) = Path("runs", experiment).iterdir()
        assert "my_kitchen" in run.name
        metrics = json.loads((run / "metrics.json").read_text())
        assert {key.split("/")[1].removesuffix("_squeezed") for key in metrics} == {"my_kitchen"}
        assert metrics["test/my_kitchen/abs_rel"] > 0
        with (run / "per_image.csv").open(encoding="utf-8") as file:
            assert {row["scene"] for row in csv.DictReader(file)} <= set(SCENES)
        row = next(line for line in printed.splitlines() if f" {experiment} " in line and run.name in line)
        assert "my_kitchen" in row
    page = Path("runs/compare.html").read_text(encoding="utf-8")
    assert "my_kitchen" in page
    assert "nyuv2" not in {line.split()[0] for line in printed.splitlines() if line.strip()}
