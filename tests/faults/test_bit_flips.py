"""One flipped bit anywhere in a run folder: every command ends with a result, or with one line that names the file."""

import os
import random
import shutil
from pathlib import Path

import pytest
import yaml

from experiments.results.run_folder import RUN_ENVIRONMENT
from tests.experiments.train.test_resume import EXPERIMENT
from tests.helpers.killed_runs import run_forked
from tests.helpers.tiny_nyu import write_tiny_nyu

FLIPS = int(os.environ.get("SEGDEPTH_FLIPS", "3"))
FOLDER = Path("runs/tiny/one")
COMMANDS = (
    ("compare", "--root", "runs"),
    ("table", "shed", "--root", "runs"),
    ("test", "--config", str(FOLDER / "config.yaml"), "--ckpt_path", str(FOLDER / "checkpoints/last.ckpt")),
    ("test", "--config", "tiny.yaml", "--ckpt_path", "best"),
    ("exp", "--config", "tiny.yaml", "--run.name", "one", "--run.resume", "true", "--trainer.max_epochs", "4"),
    ("export", "clouds", "tiny"),
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with data, a finished run and a copy of it."""
    write_tiny_nyu(tmp_path / "data" / "nyuv2", frames=8)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.delenv(RUN_ENVIRONMENT, raising=False)
    log = tmp_path / "exp.log"
    assert run_forked(["exp", "--config", "tiny.yaml", "--run.name", "one"], log) == 0, log.read_text()[-2000:]
    shutil.copytree("runs", "whole")
    return tmp_path


def flip(draw: random.Random) -> tuple[str, int]:
    """Flip a bit of one of the run's files, each as likely as any other; its name and the bit's place."""
    path = draw.choice(sorted(path for path in FOLDER.rglob("*") if path.is_file() and path.stat().st_size))
    content = bytearray(path.read_bytes())
    bit = draw.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    return path.name, bit


@pytest.mark.slow
def test_every_command_ends_well_or_names_the_file(place):
    draw = random.Random(os.environ.get("SEGDEPTH_FLIP_SEED", "0"))
    faults = []
    for number in range(FLIPS):
        for command in COMMANDS:
            shutil.rmtree("runs")
            shutil.copytree("whole", "runs")
            state = draw.getstate()
            name, bit = flip(draw)
            if command is not COMMANDS[-1]:
                draw.setstate(state)  # the same flip for every command
            log = place / f"{number}.log"
            log.unlink(missing_ok=True)
            status = run_forked(list(command), log)
            said = log.read_text(errors="replace")
            errors = [line for line in said.splitlines() if line.startswith("segdepth: error: ")]
            named = any(
                name in line for line in said.splitlines() if line.startswith(("segdepth: error", "segdepth: warn"))
            )
            ended = status == 0 or (status == 2 and len(errors) == 1 and named)
            if not ended or "Traceback" in said:
                faults.append(f"{name}, bit {bit}: `{' '.join(command)}` ended with {status}: {said[-600:]}")
    assert not faults, "\n\n".join(faults)
