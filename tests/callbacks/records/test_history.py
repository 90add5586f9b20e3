"""The curves in a run's folder: whole, in order, and once, also after an interruption."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from callbacks.records.history import History, read_history


class Counter(LightningModule):
    """Logs the number of the step as its loss."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        self.log("train/loss", float(self.global_step + 1), on_step=True, on_epoch=True)
        self.log("train/skipped", 1.0, on_step=False, on_epoch=True, reduce_fx="sum")
        return self.layer(batch).sum()

    def validation_step(self, batch, batch_idx):
        self.log("val/abs_rel", 0.5)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def train(folder: Path, epochs: int, history: History | None = None, checkpoint: str | None = None) -> None:
    trainer = Trainer(
        default_root_dir=folder, max_epochs=epochs, log_every_n_steps=2, callbacks=[history or History()], logger=False,
        accelerator="cpu", enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        enable_checkpointing=False,
    )  # fmt: skip
    loaders = DataLoader(torch.ones(6, 1)), DataLoader(torch.ones(1, 1))
    trainer.fit(Counter(), *loaders, ckpt_path=checkpoint)
    trainer.save_checkpoint(folder / "last.ckpt")


def test_steps_epochs_and_validations_are_lines(tmp_path):
    train(tmp_path, epochs=2)
    lines = read_history(tmp_path / "history.jsonl")
    steps = [(line["step"], line["train/loss_step"]) for line in lines if "train/loss_step" in line]
    assert steps == [(2, 2), (4, 4), (6, 6), (8, 8), (10, 10), (12, 12)]
    epochs = [(line["step"], line["epoch"], line["train/loss_epoch"], line["train/skipped"]) for line in lines
              if "train/loss_epoch" in line]  # fmt: skip
    assert epochs == [(6, 0, 3.5, 6), (12, 1, 9.5, 6)]
    assert [(line["step"], line["val/abs_rel"]) for line in lines if "val/abs_rel" in line] == [(6, 0.5), (12, 0.5)]
    assert not any("train/loss" in line for line in lines)


def test_a_run_that_goes_on_has_every_point_once(tmp_path):
    train(tmp_path, epochs=1)
    path = tmp_path / "history.jsonl"
    with path.open("a") as file:
        file.write(json.dumps({"step": 8, "epoch": 1, "train/loss_step": 99.0}) + "\n")  # past the checkpoint
        file.write('{"step": 9, "epo')  # and killed
    train(tmp_path, epochs=3, checkpoint=str(tmp_path / "last.ckpt"))
    train(tmp_path / "whole", epochs=3)
    assert read_history(path) == read_history(tmp_path / "whole" / "history.jsonl")


def test_a_long_history_is_thinned(tmp_path):
    train(tmp_path, epochs=8, history=History(max_points=12))
    lines = read_history(tmp_path / "history.jsonl")
    assert 4 <= len(lines) <= 12
    assert [line["step"] for line in lines] == sorted(line["step"] for line in lines)
    assert lines[-1]["step"] == 48


def test_a_folder_that_cannot_be_written_ends_the_curves_and_not_the_training(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.warns(UserWarning, match="the curves of this run end here, training continues"):
        train(tmp_path, epochs=1)
