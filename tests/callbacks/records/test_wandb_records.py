"""What a run promises to log is in W&B's own file, read back from disk: every key, table and picture, once."""

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import wandb
import yaml
from PIL import Image

from callbacks.records.run_logger import STEP
from experiments.__main__ import main
from lightning_modules.metrics import describe
from tests.experiments.conftest import TINY, tiny
from tests.helpers.tiny_nyu import write_tiny_nyu
from tests.helpers.wandb_records import read_run

ROOT = Path(__file__).parents[3]

WATCHING = (
    "--trainer.callbacks+=callbacks.ValidationPanels", "--trainer.callbacks.every_n_epochs=2",
    "--trainer.callbacks+=callbacks.TrainingMonitor", "--trainer.log_every_n_steps=1",
    "--trainer.max_epochs=2", "--run.tags=[mine]",
)  # fmt: skip

ERRORS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog", "mae")


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    write_tiny_nyu(tmp_path / "data" / "nyuv2", frames=12)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("SEGDEPTH_RUN", "WANDB_PROJECT", "WANDB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def rows_with(logged, prefix):
    return [row for row in logged.rows if any(key.startswith(prefix) for key in row)]


def media(row, key):
    return row.get(f"{key}/filenames") or [row[f"{key}/path"]]


def check(run, name="two"):
    """That the file in a run folder holds all that `exp` promises; returns what it holds."""
    logged = read_run(run)
    (part,) = (run / "wandb").glob("offline-run-*")
    files = part / "files"
    measured = {
        key: math.nan if value is None else value
        for key, value in json.loads((run / "metrics.json").read_text()).items()
    }

    # what it is called and grouped under
    record = logged.run[-1]
    assert record.display_name == f"shed_hybrid/{name}"
    assert (record.project, record.job_type) == ("segdepth", "exp")
    assert record.run_group == "shed/table1 shed/table2 shed/table3 shed/fig5"
    tags = list(record.tags)
    assert sorted(tags) == sorted({*tags, "shed_hybrid", "nyuv2", "quick", "mine", "SHED", "shed", "shed/table1"})

    # how it was made
    environment = json.loads((run / "environment.json").read_text())
    assert logged.config["environment"] == environment
    assert len(environment["data_fingerprint"]) == 12
    assert {"commit", "dirty"} <= environment.keys()
    assert logged.config["model"]["init_args"]["width"] == 8
    assert logged.config["data"]["init_args"]["batch_size"] == 2

    # figures of training and validation, with their axis
    assert all(row["_step"] == number for number, row in enumerate(logged.rows))
    for prefix in ("train/loss", "train/grad_norm", "train/images_per_second", "train/data_wait", "train/lr"):
        rows = rows_with(logged, prefix)
        values = [value for row in rows for key, value in row.items() if key.startswith(prefix)]
        assert values, prefix
        assert all(math.isfinite(value) for value in values), prefix
        assert [row[STEP] for row in rows] == sorted(row[STEP] for row in rows)
    assert all(0 <= row["train/data_wait"] <= 1 for row in rows_with(logged, "train/data_wait"))
    validations = rows_with(logged, "val/abs_rel")
    assert len(validations) == 2
    for figure in (*ERRORS, "delta1", "delta2", "delta3"):
        key, direction = f"val/{figure}", "max" if describe(figure).higher_is_better else "min"
        history = [row[key] for row in validations]
        assert all(map(math.isfinite, history))
        assert logged.summary[key] == {direction: {"min": min, "max": max}[direction](history), "last": history[-1]}
        assert logged.metrics[key].step_metric == STEP
    assert {"train/*", "val/*", "epoch"} <= logged.metrics.keys()

    # test figures: once, and those of metrics.json
    (tested,) = rows_with(logged, "test/nyuv2/")
    tested = {key: float(value) for key, value in tested.items() if key.startswith("test/nyuv2/")}
    assert tested == pytest.approx(measured, nan_ok=True)
    summary = {key: float(value) for key, value in logged.summary.items() if key.startswith("test/nyuv2/")}
    assert summary == pytest.approx(measured, nan_ok=True)

    # the table of single images
    (row,) = rows_with(logged, "test/per_image")
    (path,) = media(row, "test/per_image")
    table = json.loads((files / path).read_text())
    with (run / "per_image.csv").open() as file:
        written = list(csv.DictReader(file))
    assert [line[table["columns"].index("index")] for line in table["data"]] == [int(line["index"]) for line in written]
    assert table["columns"] == list(written[0])
    column = table["columns"].index("abs_rel")
    assert [line[column] for line in table["data"]] == pytest.approx([float(line["abs_rel"]) for line in written])

    # pictures, at test and at the second epoch
    for key, count in (("test/panels", 4), ("test/worst", 1), ("val/panels", 4)):
        (row,) = rows_with(logged, f"{key}/")
        pictures = media(row, key)
        assert len(pictures) == count
        for picture in pictures:
            Image.open(files / picture).verify()
    for picture in (run / "panels" / "val").glob("*.jpg"):
        assert picture.stat().st_size <= 200_000
    (row,) = rows_with(logged, "val/clouds/")
    clouds = [
        json.loads((files / value).read_text())
        for key, value in row.items()
        if key.startswith("val/clouds") and key.endswith("/path")
    ]
    assert [len(cloud) > 100 and len(cloud[0]) == 6 for cloud in clouds] == [True] * 4
    assert sorted(path.name for path in (run / "panels" / "val").iterdir()) == sorted(
        f"{index:04d}.{kind}" for index in held_out(row) for kind in ("jpg", "ply")
    )
    return logged


def held_out(row):
    return sorted({int(key.split("/")[2]) for key in row if key.startswith("val/clouds/")})


@pytest.mark.slow
def test_everything_that_exp_promises_and_what_later_commands_add(workplace):
    main(["exp", *tiny("shed_hybrid"), *WATCHING, "--run.name", "two"])
    wandb.teardown()
    run = workplace / "runs" / "shed_hybrid" / "two"
    first = check(run)
    main(
        [
            "fit",
            *tiny("shed_hybrid"),
            *WATCHING[:-2],
            "--trainer.max_epochs=3",
            "--run.name",
            "two",
            "--ckpt_path",
            "last",
        ]
    )
    main(["test", *tiny("shed_hybrid"), "--run.name", "two", "--ckpt_path", "best"])
    wandb.teardown()
    logged = read_run(run)
    assert len(logged.ids) == 3
    assert len(set(logged.ids)) == 1
    assert [row["_step"] for row in logged.rows] == list(range(len(logged.rows)))
    assert logged.rows[: len(first.rows)] == first.rows
    for prefix in ("train/loss_step", "val/abs_rel", "test/nyuv2/abs_rel"):
        steps = [row[STEP] for row in rows_with(logged, prefix)]
        assert steps == sorted(steps)
        assert steps[-1] >= first.rows[-1][STEP]
    assert logged.run[-1].job_type == "exp"
    assert logged.config["trainer"]["max_epochs"] == 3  # of the resumed training, not of the test
    assert logged.config["test-nyuv2"]["trainer"]["max_epochs"] == 1
    best = min(row["val/abs_rel"] for row in rows_with(logged, "val/abs_rel"))
    assert logged.summary["val/abs_rel"]["min"] == best


@pytest.mark.ddp
def test_two_processes_log_one_run(workplace):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    arguments = [*tiny("shed_hybrid"), *WATCHING, "--trainer.devices=2", "--run.name=two"]
    command = [sys.executable, "-m", "experiments", "exp", *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stderr[-3000:]
    check(workplace / "runs" / "shed_hybrid" / "two")


@pytest.mark.slow
@pytest.mark.parametrize("logger", [False, {"class_path": "lightning.pytorch.loggers.CSVLogger"}])
def test_other_loggers_and_none(workplace, logger):
    names = ("ValidationPanels", "TrainingMonitor", "Panels", "WorstCases", "PerImageTable", "RunSummary")
    callbacks = [{"class_path": f"callbacks.{name}"} for name in names]
    callbacks[0]["init_args"] = {"every_n_epochs": 1}
    if logger:
        logger["init_args"] = {"save_dir": str(workplace)}
    (workplace / "other.yaml").write_text(yaml.safe_dump({"trainer": {"logger": logger, "callbacks": callbacks}}))
    main(["exp", *tiny("dpt_hybrid"), "--config", "other.yaml", "--run.name", "other", "--trainer.log_every_n_steps=1"])
    run = workplace / "runs" / "dpt_hybrid" / "other"
    assert (run / "metrics.json").is_file()
    assert list((run / "panels" / "val").glob("*.jpg"))
    assert not (run / "wandb").exists()
    if logger:
        (written,) = workplace.glob("lightning_logs/*/metrics.csv")
        header = written.read_text().splitlines()[0].split(",")
        assert {"train/grad_norm", "train/lr", "train/images_per_second"} <= set(header)
