"""What the configured logger and callbacks are told of the run, and that nothing else of theirs is touched."""

from pathlib import Path

import pytest
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import CSVLogger

from callbacks import BestCheckpoint, RunLogger, RunSummary
from callbacks.records.this_run import ThisRun
from experiments.config.run_settings import RunSettings
from experiments.train.watched_run import link_run, watched_run


class Curious(Callback):
    """A user's own callback, which asks for the run."""

    def __init__(self, this_run: ThisRun | None = None):
        self.this_run = this_run


def trainer_of(config, **run):
    """A trainer as the command line makes it of a configuration."""
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Trainer, "trainer")
    parser.add_class_arguments(RunSettings, "run")
    link_run(parser, lambda settings: watched_run(settings, "fit", "SHED"))
    values = parser.parse_object({"run": run, "trainer": {"accelerator": "cpu", **config}})
    return parser.instantiate(values).trainer


RUN = {"root": "runs", "experiment": "shed_hybrid", "name": "mine", "tags": ["a"], "monitor": "val/rmse"}


def the(kind, trainer):
    return next(callback for callback in trainer.callbacks if isinstance(callback, kind))


def test_callbacks_that_take_the_run_are_told_and_others_stay_as_configured(tmp_path):
    trainer = trainer_of(
        {
            "logger": {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(tmp_path)}},
            "callbacks": [
                {"class_path": f"{__name__}.Curious"},
                {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": {"monitor": "val/x"}},
                {"class_path": "callbacks.BestCheckpoint", "init_args": {"monitor": "val/mae", "mode": "max"}},
                {"class_path": "callbacks.RunSummary"},
            ],
        },
        **RUN,
    )
    told = the(Curious, trainer).this_run
    assert told.place == Path("runs/shed_hybrid/mine")
    assert (told.experiment, told.name, told.command) == ("shed_hybrid", "shed_hybrid/mine", "fit")
    assert told.tags[:2] == ("a", "SHED")
    assert {"shed", "shed/table2"} <= set(told.tags)
    assert told.group.split()[0].startswith("shed/")
    assert (the(BestCheckpoint, trainer).monitor, the(BestCheckpoint, trainer).mode) == ("val/rmse", "min")
    assert the(RunSummary, trainer).method == "shed_hybrid"
    assert the(EarlyStopping, trainer).monitor == "val/x"
    assert isinstance(trainer.logger, CSVLogger)
    assert trainer.logger.save_dir == str(tmp_path)


@pytest.mark.parametrize("listed", [False, True])
def test_the_logger_is_told_alone_and_in_a_list(listed, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    ours = {"class_path": "callbacks.RunLogger"}
    other = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "x", "name": "own"}}
    trainer = trainer_of({"logger": [other, ours] if listed else ours}, **RUN, test_name="near")
    logger = trainer.loggers[-1]
    assert isinstance(logger, RunLogger)
    assert logger.folder == Path("runs/shed_hybrid/mine/tests/near/wandb")
    assert logger.init_arguments["name"] == "shed_hybrid/mine/near"
    assert logger.init_arguments["job_type"] == "fit"
    if listed:
        assert (trainer.loggers[0].save_dir, trainer.loggers[0].name) == ("x", "own")


def test_without_a_metric_of_the_run_the_configured_one_counts():
    best = {"class_path": "callbacks.BestCheckpoint", "init_args": {"monitor": "val/mae", "mode": "max"}}
    callback = the(BestCheckpoint, trainer_of({"logger": False, "callbacks": best}, **{**RUN, "monitor": None}))
    assert (callback.monitor, callback.mode) == ("val/mae", "max")
