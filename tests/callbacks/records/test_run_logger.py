"""One W&B run a folder, and nothing that happens to W&B stops a training."""

import json
import subprocess
import sys
import warnings

import pytest
import wandb
from wandb.errors import CommError

from callbacks import RunLogger
from callbacks.records.run_logger import STEP, finish_run
from tests.helpers.wandb_records import read_run


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("WANDB_PROJECT", "WANDB_RUN_ID", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    yield
    wandb.finish()


def logger_of(folder, command="fit", **options):
    options = {"name": "a/b", "group": "paper/table1", "tags": ["x"], **options}
    return RunLogger(save_dir=str(folder), job_type=command, **options)


def finished(folder):
    """The run of a folder, after all of it is on disk."""
    finish_run()
    wandb.teardown()  # W&B writes the last block when its service ends
    return read_run(folder)


def test_three_commands_one_run(tmp_path):
    logger = logger_of(tmp_path)
    for step, error in enumerate((0.5, 0.2, 0.3)):
        logger.log_metrics({"val/abs_rel": error, "val/delta1": error, "train/loss": error}, step)
    finish_run()
    logger = logger_of(tmp_path)  # resumed at a checkpoint of step 2
    logger.log_metrics({"val/abs_rel": 0.4, "val/delta1": 0.9}, 2)
    logger.log_metrics({"val/abs_rel": 0.3, "val/delta1": 0.1}, 3)
    finish_run()
    logger = logger_of(tmp_path, "test", tags=["y"])  # a trainer that only tests counts from 0
    logger.log_metrics({"test/nyuv2/rmse": 1.0}, 0)
    assert logger.sync_hint().endswith("/wandb")
    logged = finished(tmp_path)
    assert len(logged.ids) == 3
    assert len(set(logged.ids)) == 1
    assert [row["_step"] for row in logged.rows] == list(range(6))
    assert [row[STEP] for row in logged.rows] == [0, 1, 2, 2, 3, 3]
    assert [(run.job_type, run.run_group, run.display_name) for run in logged.run] == [
        ("fit", "paper/table1", "a/b")
    ] * 3
    assert list(logged.run[-1].tags) == ["x", "y"]
    assert logged.summary["val/abs_rel"] == {"min": 0.2, "last": 0.3}
    assert logged.summary["val/delta1"] == {"max": 0.9, "last": 0.1}
    assert logged.summary["test/nyuv2/rmse"] == 1.0


def test_wandb_syncs_all_parts_with_the_command_of_the_hint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        logger = logger_of(tmp_path)
        logger.log_metrics({"train/loss": 1.0}, 0)
        finish_run()
    command = logger.sync_hint().removeprefix("W&B offline: ").split()
    result = subprocess.run([sys.executable, "-m", *command, "--dry-run"], capture_output=True, text=True, timeout=120)
    parts = sorted(path.name for path in (tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert "Would sync 2 run(s)" in result.stdout + result.stderr
    assert len(parts) == 2


def warned(caught):
    return [str(entry.message) for entry in caught if str(entry.message).startswith("W&B")]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), CommError("broken pipe"), ValueError("odd")])
@pytest.mark.parametrize("method", ["log", "define_metric"])
def test_an_error_while_logging_is_told_once(tmp_path, monkeypatch, error, method):
    def fail(*args, **kwargs):
        raise error

    logger = logger_of(tmp_path)
    logger.log_metrics({"train/loss": 1.0}, 0)
    monkeypatch.setattr(logger.experiment, method, fail)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        logger.log_metrics({"val/abs_rel": 1.0}, 1)
        logger.log_metrics({"val/abs_rel": 1.0}, 2)
        logger.log_hyperparams({"a": 1})
        logger.log_table("table", columns=["a"], data=[[1]])
        logger.log_image("image", ["missing.png"])
        logger.define_best("val/rmse", "min")
        logger.finalize("success")
    (message,) = warned(caught)
    assert str(error) in message
    assert "history.jsonl" in message
    assert "\n" not in message
    assert "ended early" in logger.sync_hint()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "wandb").write_text("a file is in the way")
    logger = logger_of(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        logger.log_hyperparams({"a": 1})
        logger.log_metrics({"train/loss": 1.0}, 0)
    assert len(warned(caught)) == 1
    assert wandb.run is None


def test_a_bad_state_file_begins_a_new_run(tmp_path):
    (tmp_path / "wandb").mkdir()
    for name in ("run.json", "progress.json"):
        (tmp_path / "wandb" / name).write_text('{"id": "ab')
    logger_of(tmp_path).log_metrics({"train/loss": 1.0}, 0)
    assert json.loads((tmp_path / "wandb" / "run.json").read_text())["id"] == wandb.run.id
    assert json.loads((tmp_path / "wandb" / "progress.json").read_text())["rows"] == 1


def test_no_network_at_the_start_means_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr(wandb, "login", lambda **_: True)
    real = wandb.init

    def init(**options):
        if options["mode"] == "online":
            raise CommError("Run initialization has timed out after 30.0 sec.")
        return real(**options)

    monkeypatch.setattr(wandb, "init", init)
    logger = logger_of(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        logger.log_metrics({"train/loss": 1.0}, 0)
    (message,) = warned(caught)
    assert "kept offline" in message
    assert [row["train/loss"] for row in finished(tmp_path).rows] == [1.0]


@pytest.mark.slow
def test_a_server_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "3")
    wandb.teardown()
    logger = logger_of(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        logger.log_metrics({"train/loss": 1.0}, 0)
        logger.log_metrics({"train/loss": 0.5}, 1)
    assert len(warned(caught)) == 1
    assert [row["train/loss"] for row in finished(tmp_path).rows] == [1.0, 0.5]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    folder = tmp_path / "wandb"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    wandb.finish()
    wandb.teardown()
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk(tmp_path, small_disk):
    logger = logger_of(tmp_path)
    logger.log_metrics({"train/loss": 1.0}, 0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(1, 40):
            logger.log_table("table", columns=["a"], data=[["x" * 100_000]])
            logger.log_metrics({"train/loss": 1.0}, step)
    (message,) = warned(caught)
    assert "No space left" in message
    finish_run()


def test_the_best_checkpoint_is_sent_on_request(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").write_bytes(b"weights")
    for upload in (False, True):
        logger = logger_of(tmp_path, upload_best=upload)
        logger.after_save_checkpoint(None)
        logger.finalize("success")
        logger.finalize("success")
        logger.log_metrics({"train/loss": 1.0}, 0)
        models = [artifact for artifact in finished(tmp_path).artifacts if artifact.type == "model"]
        assert ["best" in model.aliases for model in models] == [True] * upload


def test_project_and_run_id_by_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "elsewhere")
    monkeypatch.setenv("WANDB_ENTITY", "lab")
    monkeypatch.setenv("WANDB_RUN_ID", "sweep1")
    logger_of(tmp_path).log_metrics({"train/loss": 1.0}, 0)
    run = finished(tmp_path).run[0]
    assert (run.project, run.entity, run.run_id) == ("elsewhere", "lab", "sweep1")


def test_disabled_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logger = logger_of(tmp_path)
        logger.log_hyperparams({"a": 1})
        logger.define_best("val/abs_rel", "min")
        logger.log_metrics({"val/abs_rel": 0.5}, 0)
        logger.log_table("test/per_image", columns=["a"], data=[[1]])
        logger.finalize("success")
        finish_run()
    assert logger.sync_hint() == "W&B: disabled by WANDB_MODE"
    assert list(tmp_path.iterdir()) == []
    assert wandb.run is None
