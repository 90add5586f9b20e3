"""Lightning's switches for the progress bar and checkpoints, beside experiments that list both."""

from pathlib import Path
from typing import Optional

from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar, RichProgressBar, TQDMProgressBar

from experiments.train.trainer import ExperimentTrainer


def listed(tmp_path: Path) -> list:
    return [RichProgressBar(), ModelCheckpoint(dirpath=tmp_path)]


def test_the_switches_drop_what_an_experiment_lists(tmp_path):
    trainer = ExperimentTrainer(
        logger=False, callbacks=listed(tmp_path), enable_progress_bar=False, enable_checkpointing=False
    )
    assert trainer.progress_bar_callback is None
    assert trainer.checkpoint_callback is None


def test_one_switch_leaves_the_other_alone(tmp_path):
    trainer = ExperimentTrainer(logger=False, callbacks=listed(tmp_path), enable_progress_bar=False)
    assert trainer.progress_bar_callback is None
    assert isinstance(trainer.checkpoint_callback, ModelCheckpoint)


def test_without_a_switch_all_listed_callbacks_stay(tmp_path):
    trainer = ExperimentTrainer(logger=False, callbacks=listed(tmp_path))
    assert isinstance(trainer.progress_bar_callback, RichProgressBar)
    assert isinstance(trainer.checkpoint_callback, ModelCheckpoint)


def test_one_callback_need_not_be_a_list():
    bars = list(ExperimentTrainer(logger=False, callbacks=TQDMProgressBar()).callbacks)
    assert sum(isinstance(bar, ProgressBar) for bar in bars) == 1


def test_one_batch_is_not_all_of_them_whatever_unions_typing_keeps():
    parser = ArgumentParser()
    Optional[float | int | None]  # noqa: UP045  # the order that Python gives to the next one of both
    parser.add_class_arguments(ExperimentTrainer, "trainer")
    limits = [parser.parse_args([f"--trainer.limit_test_batches={n}"]).trainer.limit_test_batches for n in ("1", "1.0")]
    assert [isinstance(limit, int) for limit in limits] == [True, False]
