"""What the monitor logs, against figures that a toy model gives by hand."""

import re
import time

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, Dataset

from callbacks import TrainingMonitor
from callbacks.records import training_monitor


class Slow(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        time.sleep(0.02)
        return {"image": torch.full((3,), float(index))}


class Linear(LightningModule):
    """Loss: the weights times the mean image; its gradient is that mean, whatever the weights."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.logged = []

    def training_step(self, batch, batch_idx):
        return (self.weight * batch["image"].mean(0)).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.125)

    def log(self, name, value, **options):
        self.logged.append((self.trainer.global_step, name, float(value)))
        super().log(name, value, **options)


def fit(tmp_path, interval, *, callbacks=(), ckpt_path=None, **options):
    model = Linear()
    trainer = Trainer(
        default_root_dir=tmp_path, accelerator="cpu", devices=1, logger=False, log_every_n_steps=interval,
        enable_checkpointing=bool(callbacks), enable_progress_bar=False, enable_model_summary=False,
        callbacks=[TrainingMonitor(), *callbacks], **{"max_epochs": 1, **options},
    )  # fmt: skip
    trainer.fit(model, DataLoader(Slow(), batch_size=2), ckpt_path=ckpt_path)
    return model.logged


def test_gradients_before_clipping_learning_rate_and_speed(tmp_path):
    logged = fit(tmp_path, 2, gradient_clip_val=0.1)
    norms = [(step, value) for step, name, value in logged if name == "train/grad_norm"]
    # optimizer steps 2 and 4 see frames (2, 3) and (6, 7): means 2.5 and 6.5 in each of three weights
    assert norms == [(1, pytest.approx(2.5 * 3**0.5)), (3, pytest.approx(6.5 * 3**0.5))]
    assert [value for _, name, value in logged if name == "train/lr"] == [0.125, 0.125]
    assert [step for step, name, _ in logged if name == "train/images_per_second"] == [2, 4]
    speeds = [value for _, name, value in logged if name == "train/images_per_second"]
    assert all(0 < speed < 50 for speed in speeds)  # a frame takes 20 ms to read
    assert all(0.1 < value <= 1 for _, name, value in logged if name == "train/data_wait")
    assert not [name for _, name, _ in logged if name == "train/gpu_memory"]


def test_accumulated_batches_are_one_step(tmp_path):
    logged = fit(tmp_path, 1, accumulate_grad_batches=2)
    assert [step for step, name, _ in logged if name == "train/images_per_second"] == [1, 2]
    assert len([name for _, name, _ in logged if name == "train/grad_norm"]) == 2


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
@pytest.mark.filterwarnings("ignore:You.re resuming from a checkpoint that ended before the epoch ended")
def test_an_epoch_that_is_gone_on_with(tmp_path):
    """Lightning does not start it again."""
    every_step = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    fit(tmp_path, 1, callbacks=[every_step])
    logged = fit(tmp_path, 1, ckpt_path=tmp_path / "step=2.ckpt")
    assert [step for step, name, _ in logged if name == "train/images_per_second"] == [3, 4]


def test_a_loader_that_is_slower_than_the_steps_is_told_once(tmp_path, monkeypatch):
    monkeypatch.setattr(training_monitor, "SECONDS", 0.05)
    with pytest.warns(UserWarning, match=r"training waits \d\d% of its time for data.*num_workers") as said:
        fit(tmp_path, 2, max_epochs=2)
    lines = [str(warning.message) for warning in said if "waits" in str(warning.message)]
    assert len(lines) == 1
    loader, steps = (int(number) for number in re.findall(r"(?:makes|take) (\d+)", lines[0]))
    assert 20 < loader <= 50 < steps  # a frame takes 20 ms to read


def test_a_short_wait_is_not_worth_a_word(tmp_path, recwarn):
    fit(tmp_path, 2)
    assert not [warning for warning in recwarn if "waits" in str(warning.message)]
