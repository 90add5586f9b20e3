"""`segdepth ablation`: which rows are run, what an interrupt, a kill or a failure leaves, and the tables at the end."""

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from experiments.config.compose import EXPERIMENTS, Composition, ConfigError
from experiments.grid import ablation as ablation_command
from experiments.grid import grid_runner as sweep_grid
from experiments.results.marks import oracle_of
from experiments.results.published import PublishedRow, PublishedTable, read_published, select_tables
from experiments.results.run_folder import RUN_ENVIRONMENT
from tests.experiments.grid.test_sweep import is_alive, until
from tests.helpers.commands import command
from tests.helpers.few_callbacks import FEW_CALLBACKS
from tests.helpers.tiny_nyu import write_tiny_nyu

ablation = command("ablation")


ROOT = Path(__file__).parents[3]

#: Rows of Semantic-MD's tables, as printed.
TABLE1 = ["baseline_l1", "baseline_berhu", "concat", "onehot40", "onehot20", "onehot3", "semantic_conv", "contour",
          "two_head", "three_head"]  # fmt: skip
TABLE2 = ["encoder_resnet50", "encoder_efficientnet_b2", "encoder_efficientnet_b3", "encoder_efficientnet_b4",
          "two_head_dice", "two_head_dice_ce", "two_head_ftl_ce", "two_head_sobel", "deeplab_l1", "deeplab_onehot40",
          "deeplab_two_head_ce", "deeplab_two_head_dice_ce"]  # fmt: skip
ROWS = [f"semantic_md_{row}" for row in TABLE1 + TABLE2]

#: Stands for `python -m experiments`: notes that it started, and leaves what a run leaves. Files of the working folder
#: say what goes wrong: `fail_<row>`, and `wait_<row>`, which lasts until a checkpoint is there to go on from.
FAKE = """
import json, os, signal, sys, time
from pathlib import Path

value = lambda name: sys.argv[sys.argv.index(name) + 1]
experiment = value("--config")
run = Path(value("--run.root")) / experiment / value("--run.name")
resumed = "--run.resume=true" in sys.argv and (run / "checkpoints/last.ckpt").exists()
(run / "checkpoints").mkdir(parents=True, exist_ok=True)
with open("starts.txt", "a") as file:
    file.write(json.dumps([experiment.removeprefix("semantic_md_"), resumed, os.getpid()]) + "\\n")

def stop(*_):
    (run / "checkpoints/last.ckpt").touch()
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
row = experiment.removeprefix("semantic_md_")
if Path("fail_" + row).exists():
    sys.exit("no good")
if Path("wait_" + row).exists() and not resumed:
    (run / "checkpoints/last.ckpt").touch()
    while True:
        time.sleep(0.02)
data = {"name": "rooms_hypersim", "options": {}, "frames": {"test": 5}}
(run / "environment.json").write_text(json.dumps({"command": "segdepth exp", "seed": 0, "data": data}))
(run / "metrics.json").write_text(json.dumps({"test/rooms_hypersim/rmse": 0.1 * len(row)}))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder, and a program and configurations that take no time."""
    (tmp_path / "fake.py").write_text(FAKE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_ROOT", "somewhere")
    monkeypatch.setattr(sweep_grid, "PROGRAM", (sys.executable, "-S", str(tmp_path / "fake.py")))
    monkeypatch.setattr(ablation_command, "compose", lambda names: Composition({"of": names}, "", names[0], {}))
    return tmp_path


def starts(folder):
    path = folder / "starts.txt"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def names(folder):
    return [name for name, *_ in starts(folder)]


# --- which rows -------------------------------------------------------------------------------------------------------


def test_all_rows_of_both_tables_have_an_experiment_that_names_them():
    """Table 1 prints ten rows and Table 2 twelve; no experiment stands for two of them."""
    tables = {table.table: table for table in select_tables(read_published(), ["semantic_md"])}
    assert [row.experiment for row in tables["table1"].rows] == ROWS[:10]
    assert [row.experiment for row in tables["table2"].rows] == ROWS[10:]
    for table in tables.values():
        for row in table.rows:
            assert len(row.values) == 6
            text = (EXPERIMENTS / f"{row.experiment}.yaml").read_text()
            assert f": {table.table.replace('table', 'Table ')}, " in text
            assert len(text.splitlines()) <= 10


def test_the_plan_is_a_run_for_each_row(place, capsys):
    ablation(["semantic_md", "--dry_run", "--", "--config", "data/rooms_hypersim", "--config", "profile/quick"])
    output = capsys.readouterr().out
    assert re.findall(r"^\[\d+/22\] (\w+)/rooms-hypersim_quick-\w{8}: new$", output, re.MULTILINE) == ROWS
    assert not (place / "runs").exists()
    with pytest.raises(ConfigError, match="no published table `semantic`; known: shed, semantic_md, "):
        ablation(["semantic"])


def test_rows_without_an_experiment_are_named_and_left_out(place, capsys, monkeypatch):
    rows = [PublishedRow(name, name, "HyperSim", "HyperSim-val", {"rmse": "1.0"}) for name in ("shed_x", ROWS[0])]
    table = PublishedTable("semantic_md", "table1", rows)
    monkeypatch.setattr("experiments.results.published.read_published", lambda: [table])
    ablation(["semantic_md"])
    assert "no experiment here, left out: shed_x" in capsys.readouterr().out
    assert names(place) == ["baseline_l1"]
    table.rows.pop()
    with pytest.raises(ConfigError, match="none of the rows of semantic_md/table1 has an experiment here"):
        ablation(["semantic_md"])


# --- how they are run -------------------------------------------------------------------------------------------------


def test_every_row_once_with_a_line_each_and_the_tables_at_the_end(place, capsys):
    (place / "runs/other/run").mkdir(parents=True)
    (place / "runs/other/run/metrics.json").write_text("broken")  # of no row
    ablation(["semantic_md", "--jobs", "1"])
    assert names(place) == TABLE1 + TABLE2
    output = capsys.readouterr().out
    for number, name in enumerate(ROWS, start=1):
        assert f"[{number}/22] {name}/" in output
    assert output.count(": finished in ") == 22
    assert "1 to go, about" in output
    published, _, _ = output.partition("the methods on Rooms (synthetic)")
    assert "Semantic-MD, Table 1 (semantic_md/table1)" in published
    assert "1.246" in published
    table = (place / "runs/ablation-semantic_md/table.md").read_text()
    assert table in output
    lines = [line for line in table.splitlines() if "rooms_hypersim" in line and line.startswith("|")]
    assert len(lines) == 22
    for name, line in zip(ROWS, lines, strict=True):
        assert f"({name})" in line
        assert f"{0.1 * len(name.removeprefix('semantic_md_')):.3f}" in line
        assert ("oracle semantics" in line) == (oracle_of(name) == "semantics")

    ablation(["semantic_md", "--jobs", "1"])  # nothing is left to do
    assert len(starts(place)) == 22
    again = capsys.readouterr().out
    assert "22 of 22 runs are finished already" in again
    assert table in again


def test_a_row_that_fails_stops_no_other(place, capsys):
    for name in ("concat", "three_head"):
        (place / f"fail_{name}").touch()
    with pytest.raises(SystemExit) as caught:
        ablation(["semantic_md/table1", "--jobs", "2"])
    assert caught.value.code == 1
    assert sorted(names(place)) == sorted(TABLE1)
    output = capsys.readouterr().out
    assert "semantic_md_concat/" in output.splitlines()[-2]
    assert output.splitlines()[-1].startswith("failed: semantic_md_three_head/")
    assert len(re.findall(r"^\|.*rooms_hypersim", output, re.MULTILINE)) == 8  # the others' figures are shown

    (place / "fail_concat").unlink()
    with pytest.raises(SystemExit):
        ablation(["semantic_md/table1"])
    assert sorted(names(place)[10:]) == ["concat", "three_head"]  # those alone are tried again


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_gone_on_from(place, capsys, number):
    (place / "wait_onehot40").touch()

    def interrupt():
        until(lambda: "onehot40" in names(place))
        os.kill(os.getpid(), number)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        ablation(["semantic_md/table1", "--jobs", "1"])
    other.join()
    assert "interrupted: 3 of 10 runs are finished; the same command resumes the others" in capsys.readouterr().out
    ablation(["semantic_md/table1", "--jobs", "1"])
    assert names(place) == [*TABLE1[:4], *TABLE1[3:]]  # none of the finished ones again
    assert [resumed for _, resumed, _ in starts(place)] == [False] * 4 + [True] + [False] * 6
    assert "[4/10] semantic_md_onehot40/" in (output := capsys.readouterr().out)
    assert ": resumed" in output


def test_a_killed_command_is_gone_on_from(place):
    (place / "wait_concat").touch()
    command = multiprocessing.get_context("fork").Process(
        target=ablation, args=(["semantic_md/table1", "--jobs", "1"],)
    )
    command.start()
    until(lambda: "concat" in names(place))
    command.kill()
    command.join()
    row = starts(place)[-1][2]
    until(lambda: list((place / "runs/semantic_md_concat").glob("*/checkpoints/last.ckpt")))
    os.kill(row, signal.SIGKILL)  # the row as well, as when a machine goes down
    until(lambda: not is_alive(row))
    ablation(["semantic_md/table1", "--jobs", "1"])
    assert names(place) == [*TABLE1[:3], *TABLE1[2:]]
    assert [name for name, resumed, _ in starts(place) if resumed] == ["concat"]


# --- with networks ----------------------------------------------------------------------------------------------------

#: The smallest networks of the paper, on frames of 64x64.
SMALLEST = {
    "base": ["protocol/rooms"],
    "data": {
        "init_args": {
            "preprocess": None, "resize": None, "crop": [64, 64], "eval_size": None, "val_scenes": 0.0,
            "color_jitter": None, "batch_size": 2, "eval_batch_size": 2, "num_workers": 0,
        }
    },
    "model": {
        "init_args": {"encoder": "mobilenetv3_small_050", "decoder_options": {"decoder_channels": [8, 8, 8, 8, 8]}}
    },
    "trainer": {"max_epochs": 1, "accelerator": "cpu", "devices": 1, "callbacks": FEW_CALLBACKS},
}  # fmt: skip

#: `segdepth` with three rows in the table, of which the second has no meaning.
PROGRAM = """
from experiments.__main__ import main
from experiments.results import published
from experiments.results.published import PublishedRow, PublishedTable

rows = [PublishedRow("semantic_md_" + name, name, "HyperSim", "HyperSim-val", {"rmse": "1.0"})
        for name in ("baseline_l1", "onehot40", "two_head")]
published.select_tables = lambda tables, names: [PublishedTable("semantic_md", "table1", rows)]
main(["ablation", "semantic_md", "--jobs", "1", "--",
      "--config", "data/nyuv2", "--config", "profile/quick", "--config", "smallest.yaml"])
"""


@pytest.mark.slow
def test_real_rows_interrupted_killed_and_gone_on_with(tmp_path, monkeypatch):
    """Training is stopped in its first row, killed in its second, and a row is broken; the third command ends it."""
    write_tiny_nyu(tmp_path / "data/nyuv2", height=64)
    (tmp_path / "smallest.yaml").write_text(yaml.safe_dump(SMALLEST))
    (tmp_path / "three_rows.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DATA_ROOT": str(tmp_path / "data")}
    environment.pop(RUN_ENVIRONMENT, None)
    runs = tmp_path / "runs"

    def start():
        return subprocess.Popen(
            [sys.executable, "three_rows.py"], env=environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def the_file(row, name):
        return next(iter((runs / f"semantic_md_{row}").glob(f"*/{name}")), None)

    command = start()
    until(lambda: the_file("baseline_l1", "config.yaml"), 120)
    command.send_signal(signal.SIGINT)
    output, _ = command.communicate(timeout=120)
    assert "interrupted: " in output
    first = the_file("baseline_l1", "metrics.json")  # it may have been too late for an interrupt

    command = start()
    until(lambda: the_file("onehot40", "config.yaml"), 120)
    os.killpg(command.pid, signal.SIGKILL)
    command.communicate()
    for pid in rows_of(tmp_path):
        os.kill(pid, signal.SIGKILL)
    finished = the_file("baseline_l1", "metrics.json")
    assert finished
    assert first in (None, finished)
    written = finished.stat().st_mtime_ns

    command = start()
    output, _ = command.communicate(timeout=300)
    assert command.returncode == 0, output
    assert "1 of 3 runs are finished already" in output
    assert finished.stat().st_mtime_ns == written
    for row in ("baseline_l1", "onehot40", "two_head"):
        assert len(list((runs / f"semantic_md_{row}").iterdir())) == 1
        figures = json.loads(the_file(row, "metrics.json").read_text())
        assert figures["test/nyuv2/rmse"] > 0
        assert re.search(rf"\| {row}.*\({'semantic_md_' + row}\) \|", output)
    assert "onehot40, oracle semantics (semantic_md_onehot40)" in output
    assert "test/nyuv2/miou" in json.loads(the_file("two_head", "metrics.json").read_text())


def rows_of(folder):
    """Processes that run a row in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
            if "exp" in words and Path(os.readlink(path.parent / "cwd")) == folder:
                found.append(int(path.parent.name))
        except (OSError, ValueError):
            continue
    return found
