"""Two processes (gloo) of which one has less to do, stops, or is told to end: none waits without end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.ddp.test_two_processes import ROOT, TINY_QUICK, figures, segdepth
from tests.experiments.conftest import TINY
from tests.helpers.few_callbacks import FEW_CALLBACKS_ONLY
from tests.helpers.tiny_nyu import write_tiny_nyu

CAST = ["--model.init_args.pretrained", "false", "--model.init_args.superpixel_size", "8"]


@pytest.fixture
def place(tmp_path):
    write_tiny_nyu(tmp_path / "data" / "nyuv2", frames=14)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    tiny = json.loads(json.dumps(TINY))
    del tiny["model"]
    (tmp_path / "cast.yaml").write_text(yaml.safe_dump(tiny))
    return tmp_path


def start(place, *arguments):
    """`segdepth` in the background, with what it says in the file `log`."""
    environment = {**os.environ, "DATA_ROOT": str(place / "data"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "experiments", *arguments, *TINY_QUICK, "--trainer.devices", "2"]
    log = (place / "log").open("w")
    return subprocess.Popen(command, cwd=place, env=environment, stdout=log, stderr=subprocess.STDOUT)


def wait_for(happened, seconds=150):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def child_of(process):
    """The second process of a run."""
    for line in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        if b"experiments" in Path(f"/proc/{line}/cmdline").read_bytes():
            return int(line)
    raise AssertionError("the run has no second process")


@pytest.mark.ddp
def test_cast_with_a_batch_more_in_one_process(place):
    configs = ["--config", "profile/quick", "--config", "cast.yaml"]
    options = [*configs, *CAST, *FEW_CALLBACKS_ONLY, "--trainer.devices", "2"]
    uneven = ["--data.init_args.eval_batch_size", "1", "--data.init_args.val_scenes", "0.4", "--run.name", "two",
              "--data.init_args.seed", "2"]  # fmt: skip
    segdepth(place, "exp", "--config", "cast_small", options=[*options, *uneven])
    frames = json.loads((place / "runs/cast_small/two/environment.json").read_text())["data"]["frames"]
    assert frames["val"] % 2 == 1
    assert (place / "runs/cast_small/two/metrics.json").exists()


@pytest.mark.ddp
def test_a_stopped_process_ends_the_run(place):
    run = start(place, "fit", "--config", "dpt_hybrid", "--trainer.max_epochs", "500", "--run.wait_minutes", "0.5",
                "--run.name", "r", *FEW_CALLBACKS_ONLY)  # fmt: skip
    try:
        wait_for((place / "runs/dpt_hybrid/r/checkpoints/last.ckpt").exists)
        child = child_of(run)
        os.kill(child, signal.SIGSTOP)
        assert run.wait(timeout=120) == 2
    finally:
        run.kill()
    assert "another process of this run did not answer for `run.wait_minutes`" in (place / "log").read_text()
    wait_for(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text(), 20)


@pytest.mark.ddp
def test_a_stopped_test_goes_on_in_both(place):
    write_tiny_nyu(place / "data" / "nyuv2", frames=26)  # seven test frames in one, six in the other
    segdepth(place, "exp", "--config", "dpt_hybrid", options=[*TINY_QUICK, "--run.name", "r", "--trainer.devices", "2"])
    folder = place / "runs/dpt_hybrid/r"
    whole = figures(folder)
    for strip in (folder / "thumbnails/nyuv2").iterdir():
        strip.unlink()
    test = ["test", "--config", "dpt_hybrid", "--ckpt_path", "best"]
    run = start(place, *test, "--data.init_args.eval_batch_size", "1")
    wait_for(lambda: len(list((folder / "thumbnails/nyuv2").iterdir())) >= 4)
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=60) in (128 + signal.SIGTERM, -signal.SIGKILL)  # Lightning kills what is left after 5 s
    assert len(list(folder.glob("test_progress-*of2.pt"))) == 2, (place / "log").read_text()[-2000:]
    again = [*TINY_QUICK, "--data.init_args.eval_batch_size", "1", "--trainer.devices", "2"]
    output = segdepth(place, *test, options=again)
    assert "the test is resumed after" in output
    assert figures(folder)[0] == pytest.approx(whole[0], rel=1e-5, nan_ok=True)
    assert [row["index"] for row in figures(folder)[1]] == [row["index"] for row in whole[1]]
    assert not list(folder.glob("test_progress-*"))
