"""The local runner of sweeps: what is run, what is not run again, and what an interrupt or a failure leaves."""

import csv
import json
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from experiments.__main__ import main
from experiments.config.compose import ConfigError
from experiments.grid import grid_runner as sweep_grid
from experiments.grid.grid_runner import clock
from experiments.grid.jobs import try_lock, unlock
from experiments.grid.ranking import best_score
from experiments.grid.sweep import make_slots
from tests.helpers.busy_folder import held_elsewhere
from tests.helpers.commands import command

sweep = command("sweep")


ROOT = Path(__file__).parents[3]

#: Stands for `python -m experiments`: notes that it started, and leaves what a run leaves.
FAKE = """
import json, os, signal, sys, time
from pathlib import Path

flags = dict(word.partition("=")[::2] for word in sys.argv if "=" in word)
value = lambda name: sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None
experiment = Path(value("--config")).stem
run = Path(value("--run.root")) / experiment / value("--run.name")
(run / "checkpoints").mkdir(parents=True, exist_ok=True)
x, mode = float(flags["--x"]), flags.get("--mode", "")
resumed = flags["--run.resume"] == "true" and (run / "checkpoints" / "last.ckpt").exists()
with open("starts.txt", "a") as file:
    file.write(json.dumps({"x": x, "experiment": experiment, "resumed": resumed, "pid": os.getpid(),
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"), "time": time.time()}) + "\\n")

def stop(*_):
    if mode == "deaf":
        return Path("asked").touch()
    (run / "checkpoints" / "last.ckpt").touch()
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
print("hello from", x)
if mode == "fail" and x == 2:
    sys.exit("no good")
while mode in ("wait", "deaf") and x >= 2 and not resumed:
    time.sleep(0.02)
if mode == "slow":
    time.sleep(0.5)
(run / "metrics.json").write_text(json.dumps({"test/rooms/abs_rel": abs(x - 2.4), "test/rooms/rmse": None}))
with open("ends.txt", "a") as file:
    file.write(f"{time.time()}\\n")
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a sweep of x = 1, 2, 3 and a program that takes no time."""
    (tmp_path / "net.yaml").write_text("model: {}\n")
    (tmp_path / "fake.py").write_text(FAKE)
    describe(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep_grid, "PROGRAM", (sys.executable, str(tmp_path / "fake.py")))
    return tmp_path


def describe(folder, **changes):
    content = {
        "program": "segdepth",
        "method": "grid",
        "metric": {"name": "test/rooms/abs_rel", "goal": "minimize"},
        "parameters": {"x": {"values": [1, 2, 3]}},
        "command": ["${env}", "${program}", "exp", "--config", "net.yaml", "${args}"],
    }
    (folder / "three.yaml").write_text(yaml.safe_dump({**content, **changes}))


def starts(folder):
    path = folder / "starts.txt"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_alive(pid):
    """Whether a process runs; one that has ended and that nobody has asked about is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def in_another_process(*arguments):
    """`segdepth sweep` as another terminal would start it; a fork, since imports would take most of the time."""
    process = multiprocessing.get_context("fork").Process(target=sweep, args=(["three.yaml", *arguments],))
    process.start()
    return process


def test_every_point_once_and_best_first(place, capsys):
    sweep(["three.yaml", "--root", "out"])
    output = capsys.readouterr().out
    assert [start["x"] for start in starts(place)] == [1, 2, 3]
    assert "[3/3] net/x-3-" in output
    assert "2 to go, about" in output
    with (place / "out/three/sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["x"] for row in rows] == ["2", "3", "1"]  # by |x - 2.4|
    assert [float(row["test/rooms/abs_rel"]) for row in rows] == pytest.approx([0.4, 0.6, 1.4])
    assert {row["status"] for row in rows} == {"finished"}
    logs = sorted((place / "out/three/logs").glob("*.log"))
    assert [log.read_text().splitlines()[1] for log in logs] == ["hello from 1.0", "hello from 2.0", "hello from 3.0"]
    assert {row["run"] for row in rows} == {f"net/{path.name}" for path in (place / "out/net").iterdir()}

    sweep(["three.yaml", "--root", "out"])  # nothing is left to do
    assert len(starts(place)) == 3
    assert "3 of 3 runs are finished already" in capsys.readouterr().out


def test_goal_turns_the_table_round(place):
    describe(place, metric={"name": "test/rooms/abs_rel", "goal": "maximize"})
    sweep(["three.yaml"])
    with (place / "runs/three/sweep.csv").open() as file:
        assert [row["x"] for row in csv.DictReader(file)] == ["1", "3", "2"]


def test_ranks_by_the_best_validation_figure(place, capsys):
    describe(place, metric={"name": "val/abs_rel"})
    sweep(["three.yaml"])
    for run, score in zip(sorted((place / "runs/net").iterdir()), (0.3, 0.1, None), strict=True):
        state = {"monitor": "val/abs_rel", "best_model_score": score and torch.tensor(score)}
        other = {"monitor": "val/rmse", "best_model_score": torch.tensor(9.0)}
        torch.save({"callbacks": {"a": {}, "b": other, "c": state}}, run / "checkpoints/best.ckpt")
        if score is None:
            (run / "checkpoints/best.ckpt").write_bytes((run / "checkpoints/best.ckpt").read_bytes()[:200])
    sweep(["three.yaml"])
    with (place / "runs/three/sweep.csv").open() as file:
        rows = [(row["x"], round(float(row["val/abs_rel"]), 6)) for row in csv.DictReader(file)]
    assert rows[:2] == [("2", 0.1), ("1", 0.3)]
    assert rows[2][0] == "3"
    assert math.isnan(rows[2][1])
    assert "by val/abs_rel" in capsys.readouterr().out


def test_runs_chosen_by_another_figure_are_ranked_at_their_best_epoch(place):
    describe(place, metric={"name": "val/abs_rel"})
    sweep(["three.yaml"])
    for run, errors in zip(sorted((place / "runs/net").iterdir()), ([0.4, 0.3], [0.5, 0.6], [None, 0.1]), strict=True):
        state = {"monitor": "val/loss_depth", "best_model_score": torch.tensor(0.2)}
        torch.save({"callbacks": {"a": state}}, run / "checkpoints/best.ckpt")
        lines = [
            {"step": 9, "val/loss_depth": None, "val/abs_rel": 0.01},
            {"step": 10, "val/loss_depth": 0.2, "val/abs_rel": errors[0]},
            {"step": 20, "val/loss_depth": 0.3, "val/abs_rel": errors[1]},
        ]
        (run / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sweep(["three.yaml"])
    with (place / "runs/three/sweep.csv").open() as file:
        assert [row["val/abs_rel"] for row in csv.DictReader(file)] == ["0.4", "0.5", "nan"]


def test_another_configuration_is_another_run(place):
    sweep(["three.yaml", "--count", "1"])
    sweep(["three.yaml", "--count", "1", "--", "--mode=other"])
    (place / "net.yaml").write_text("model: {width: 4}\n")
    sweep(["three.yaml", "--count", "1"])
    sweep(["three.yaml", "--count", "1"])
    assert len(starts(place)) == 3
    assert len(list((place / "runs/net").iterdir())) == 3


def test_the_place_of_the_data_names_no_run(place, monkeypatch):
    (place / "net.yaml").write_text("data: {root: '${oc.env:DATA_ROOT}/nyuv2'}\n")
    for root in ("/here", "/there"):
        monkeypatch.setenv("DATA_ROOT", root)
        sweep(["three.yaml", "--count", "1"])
    assert len(starts(place)) == 1


def test_experiments_as_points(place):
    (place / "other.yaml").write_text("model: {}\n")
    parameters = {"experiment": {"values": ["net.yaml", "other.yaml"]}, "x": {"value": 1}}
    describe(place, parameters=parameters, command=["${program}", "exp", "${args}"])
    sweep(["three.yaml"])
    assert [start["experiment"] for start in starts(place)] == ["net", "other"]
    assert {path.name for path in (place / "runs").iterdir()} == {"net", "other", "three"}


def test_a_failure_stops_nothing_and_is_named(place, capsys):
    with pytest.raises(SystemExit) as caught:
        sweep(["three.yaml", "--", "--mode=fail"])
    assert caught.value.code == 1
    assert [start["x"] for start in starts(place)] == [1, 2, 3]
    named = capsys.readouterr().out.splitlines()[-1]
    assert named.startswith("failed: net/x-2-")
    assert "no good" in (place / named.rpartition(" ")[2]).read_text()
    with (place / "runs/three/sweep.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["finished", "finished", "failed"]


def test_dry_run_writes_nothing(place, capsys):
    sweep(["three.yaml", "--count", "1"])
    capsys.readouterr()
    before = sorted(place.rglob("*"))
    sweep(["three.yaml", "--dry_run", "--", "--config", "net.yaml"])
    sweep(["three.yaml", "--dry_run"])
    output = capsys.readouterr().out.splitlines()
    assert sorted(place.rglob("*")) == before
    assert len(starts(place)) == 1
    assert output[1].startswith(
        "    segdepth exp --config net.yaml --config net.yaml --x=1 --run.root runs --run.name x-1-"
    )
    assert [line.rpartition(": ")[2] for line in output[6::2]] == ["finished", "new", "new"]


NYU = "data: {class_path: datamodules.NYUv2DataModule, init_args: {root: nowhere}}"


@pytest.mark.parametrize("more", [[], ["--dry_run"]])
def test_a_validation_figure_where_nothing_is_held_out_is_refused_at_the_start(place, more):
    (place / "net.yaml").write_text(NYU)
    describe(place, metric={"name": "val/abs_rel", "goal": "minimize"})
    with pytest.raises(ConfigError) as caught:
        sweep(["three.yaml", *more])
    assert str(caught.value).startswith(
        "three.yaml: key `metric.name`: net on nyuv2 has no `val/abs_rel`, as nothing is held out for validation: set "
        "`data.init_args.val_scenes`"
    )
    assert str(caught.value).endswith("or rank by a test metric, `test/nyuv2/abs_rel`")
    assert starts(place) == []


@pytest.mark.parametrize(
    ("content", "metric", "flags"),
    [
        (NYU, "val/abs_rel", ["--data.init_args.val_scenes=0.1"]),
        (NYU, "val/abs_rel", ["--data.init_args.split=random801010"]),
        (NYU, "test/nyuv2/abs_rel", []),
        (NYU, "", []),
        ("data: {class_path: datamodules.HyperSimDataModule, init_args: {root: nowhere}}", "val/abs_rel", []),
        ("model: {}", "val/abs_rel", []),
    ],
)
def test_a_figure_that_runs_will_have_is_not_refused(place, content, metric, flags, capsys):
    (place / "net.yaml").write_text(content)
    describe(place, metric={"name": metric, "goal": "minimize"})
    sweep(["three.yaml", "--dry_run", "--", *flags])
    assert "[3/3]" in capsys.readouterr().out


def test_gpus_are_dealt_out_and_share_the_points(place, monkeypatch):
    monkeypatch.setattr("experiments.health.machine.visible_gpus", lambda: ["4", "MIG-7"])
    sweep(["three.yaml"])
    assert sorted({start["gpu"] for start in starts(place)}) == ["4", "MIG-7"]
    assert [slot.gpu for slot in make_slots("auto", jobs=3)] == ["4", "MIG-7", "4"]
    assert [slot.gpu for slot in make_slots("1")] == ["4"]
    assert [slot.gpu for slot in make_slots("0", jobs=2)] == [None, None]
    with pytest.raises(ConfigError, match="number up to 2"):
        make_slots("3")


def test_two_processes_at_a_time(place):
    sweep(["three.yaml", "--devices", "0", "--jobs", "3"])
    ends = [float(line) for line in (place / "ends.txt").read_text().split()]
    assert len(ends) == 3
    assert {start["gpu"] for start in starts(place)} == {""}


def test_a_point_in_other_hands_is_left_to_them(place, capsys):
    sweep(["three.yaml", "--dry_run"])
    name = capsys.readouterr().out.splitlines()[2].split()[1].rstrip(":").removeprefix("net/")
    lock = try_lock(place / f"runs/three/locks/net-{name}.lock")
    assert try_lock(place / f"runs/three/locks/net-{name}.lock") is None
    sweep(["three.yaml"])
    assert [start["x"] for start in starts(place)] == [1, 3]
    assert "another process is at it" in capsys.readouterr().out
    unlock(lock)
    with held_elsewhere(place / "runs/net" / name):  # of another sweep, or a command of its own
        sweep(["three.yaml"])
    assert "another process is at it" in capsys.readouterr().out
    assert [start["x"] for start in starts(place)] == [1, 3]
    sweep(["three.yaml"])
    assert [start["x"] for start in starts(place)] == [1, 3, 2]


def test_a_broken_run_costs_the_table_its_own_row_alone(place, capsys):
    sweep(["three.yaml"])
    first, second, _ = sorted(place.glob("runs/net/*/metrics.json"))
    whole = second.read_text()
    first.write_text(whole[:5])
    best = second.parent / "checkpoints/best.ckpt"
    best.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(best, "w") as archive:
        archive.writestr("best/data.pkl", b"no pickle")
    capsys.readouterr()
    sweep(["three.yaml"])
    assert f"{first.relative_to(place)}: not JSON" in capsys.readouterr().err
    assert len((place / "runs/three/sweep.csv").read_text().splitlines()) == 4
    job = SimpleNamespace(folder=second.parent, is_finished=True)
    assert math.isnan(best_score(job, "val/abs_rel"))
    assert "best.ckpt: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_checkpoints_and_the_same_command_goes_on(place, capsys, number):
    def interrupt():
        until(lambda: len(starts(place)) == 3)  # x = 1 has ended, 2 and 3 wait
        os.kill(os.getpid(), number)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        sweep(["three.yaml", "--jobs", "2", "--", "--mode=wait"])
    other.join()
    assert "interrupted: 1 of 3 runs are finished; the same command resumes the others" in capsys.readouterr().out
    assert not any(is_alive(start["pid"]) for start in starts(place))
    sweep(["three.yaml", "--", "--mode=wait"])
    assert [(start["x"], start["resumed"]) for start in starts(place)[3:]] == [(2, True), (3, True)]
    assert len(list((place / "runs/net").glob("*/metrics.json"))) == 3


def test_a_second_interrupt_kills(place, capsys):
    def interrupt_twice():
        until(lambda: len(starts(place)) == 2)
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: (place / "asked").exists())
        os.kill(os.getpid(), signal.SIGINT)

    other = threading.Thread(target=interrupt_twice)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        sweep(["three.yaml", "--", "--mode=deaf"])
    other.join()
    assert not any(is_alive(start["pid"]) for start in starts(place))


def test_two_terminals_share_the_points(place):
    terminals = [in_another_process("--", "--mode=slow") for _ in range(3)]
    for terminal in terminals:
        terminal.join(60)
    assert [terminal.exitcode for terminal in terminals] == [0, 0, 0]
    assert sorted(start["x"] for start in starts(place)) == [1, 2, 3]


def test_a_killed_runner_leaves_its_point_locked_until_the_run_ends(place, capsys):
    terminal = in_another_process("--", "--mode=wait")
    until(lambda: len(starts(place)) == 2)
    terminal.kill()
    terminal.join()
    orphan = starts(place)[1]["pid"]
    sweep(["three.yaml", "--count", "2", "--", "--mode=wait"])
    assert len(starts(place)) == 2
    assert "another process is at it" in capsys.readouterr().out
    os.kill(orphan, signal.SIGTERM)
    until(lambda: not is_alive(orphan))
    sweep(["three.yaml", "--count", "2", "--", "--mode=wait"])
    assert [start["resumed"] for start in starts(place)] == [False, False, True]


@pytest.mark.slow
def test_real_runs(workplace, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    fixed = ["--config", "profile/quick", "--config", "tiny.yaml"]
    command = ["${env}", "${program}", "exp", *fixed, "${args}"]
    segments = {"values": [[6, 4, 2], [2, 4, 6]]}  # the second has no meaning
    parameters = {"experiment": {"value": "shed_hybrid"}, "model.init_args.segments": segments}
    describe(workplace, parameters=parameters, command=command, metric={"name": "val/abs_rel"})
    with pytest.raises(SystemExit) as caught:
        sweep(["three.yaml"])
    assert caught.value.code == 1
    with (workplace / "runs/three/sweep.csv").open() as file:
        good, bad = csv.DictReader(file)
    assert (good["status"], bad["status"]) == ("finished", "failed")
    assert (good["model.init_args.segments"], bad["val/abs_rel"]) == ("[6, 4, 2]", "nan")
    run = workplace / "runs" / good["run"]
    best = torch.load(run / "checkpoints/best.ckpt", weights_only=True)["callbacks"]
    scores = [state["best_model_score"] for state in best.values() if state.get("monitor") == "val/abs_rel"]
    assert float(good["val/abs_rel"]) == pytest.approx(float(scores[0]))
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert "three" in config["run"]["tags"]
    assert config["model"]["init_args"]["segments"] == [6, 4, 2]
    assert "must be positive and decreasing" in next((workplace / "runs/three/logs").glob("*2-4-6*")).read_text()
    main(["compare"])
    assert run.name in capsys.readouterr().out.replace("\n", "")


def test_durations_are_readable():
    assert [clock(seconds) for seconds in (0.4, 75, 3700)] == ["0 s", "1 min 15 s", "1 h 1 min"]
