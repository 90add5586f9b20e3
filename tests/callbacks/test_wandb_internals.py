"""What the logger of runs uses of Lightning's W&B logger is still there, and means what it meant."""

import lightning
import pytest
import wandb

from callbacks.wandb_internals import OpenWandbLogger


@pytest.fixture(autouse=True)
def silent(monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    yield
    wandb.finish()


def test_a_run_is_opened_late_offline_and_under_its_id(tmp_path):
    changed = f"Lightning {lightning.__version__} or W&B {wandb.__version__} has changed what callbacks use of it"
    logger = OpenWandbLogger(offline=False, save_dir=str(tmp_path), project="p", job_type="fit")
    assert (logger.offline, logger.opened, logger.init_arguments["mode"]) == (False, None, "online"), changed
    assert "anonymous" not in logger.init_arguments, changed
    logger.go_offline()
    logger.init_arguments["job_type"] = "test"
    run = logger.open_run("abcd1234")
    assert run is logger.opened is logger.experiment, changed
    assert logger.offline, changed
    assert run.id == logger.version == "abcd1234", changed
    assert (run.settings.mode, run.job_type) == ("offline", "test"), changed
    assert list((tmp_path / "wandb").glob("offline-run-*-abcd1234")), changed
