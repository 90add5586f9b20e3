"""What callbacks use of Lightning beyond its promises is still there, and means what it meant."""

from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace

import lightning
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from torch.utils.data import DataLoader

from callbacks.lightning_internals import (
    FitPosition,
    add_epoch_sums,
    begin_next_epoch,
    bound_collectives,
    can_resume_here,
    datamodule_of,
    epoch_sums,
    is_fast_dev_run,
    load_loader_states,
    loader_of,
    log_interval,
    mark_epoch_completed,
)


class Line(LightningModule):
    """Logs the mean over frames and the sum over batches of 1, 2, 3, ..."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        self.log("mean", float(batch_idx + 1), on_step=False, on_epoch=True, batch_size=len(batch))
        self.log("sum", float(batch_idx + 1), on_step=False, on_epoch=True, reduce_fx="sum", batch_size=1)
        return self.layer(batch).sum()

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Watch(Callback):
    """Notes what the functions say at the end of every batch, and adds the sums of other batches to the second."""

    def __init__(self):
        self.resumable, self.sums, self.facts = [], [], ()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.resumable.append(can_resume_here(trainer))
        self.sums.append({key.split(".")[1]: float(value) for key, (value, _) in epoch_sums(trainer).items()})
        self.facts = datamodule_of(trainer), is_fast_dev_run(trainer), log_interval(trainer)
        if batch_idx == 1:
            earlier = {"mean": [torch.tensor(20.0), torch.tensor(10)], "sum": [torch.tensor(5.0), torch.tensor(0)]}
            add_epoch_sums(trainer, {f"training_step.{key}": sums for key, sums in earlier.items()})


class Stateful(DataLoader):
    """A loader with a place in the epoch."""

    place = 0

    def state_dict(self):
        return {"place": self.place}

    def load_state_dict(self, state):
        self.place = state["place"]


class Resume(Callback):
    """Uses what a resumed training uses."""

    def on_load_checkpoint(self, trainer, pl_module, checkpoint):
        mark_epoch_completed(checkpoint)

    def on_train_start(self, trainer, pl_module):
        begin_next_epoch(trainer)
        load_loader_states(trainer, [{"place": 7}])


@contextmanager
def named():
    """Errors name Lightning's version."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"Lightning {lightning.__version__} has changed what callbacks use of it") from error


def data(loader=DataLoader):
    return loader(torch.ones(8, 1), batch_size=2)


def trainer_of(folder, *callbacks, **options):
    return Trainer(
        default_root_dir=folder, accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[*callbacks],
        enable_progress_bar=False, enable_model_summary=False, **options,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_the_loops_have_what_callbacks_use(tmp_path):
    watch = Watch()
    trainer = trainer_of(tmp_path, watch, max_epochs=2, accumulate_grad_batches=2, log_every_n_steps=3)
    with named():
        trainer.fit(Line(), data(), data())
        assert watch.resumable == [False, True, False, False] * 2  # accumulates; free; accumulates; validation is next
        assert watch.sums[0] == {"mean": 2 * 1, "sum": 1}  # two frames a batch
        assert watch.sums[2] == {"mean": 2 * (1 + 2 + 3) + 20, "sum": 1 + 2 + 3 + 5}
        assert float(trainer.callback_metrics["mean"]) == pytest.approx((2 + 4 + 6 + 8 + 20) / 18)
        assert float(trainer.callback_metrics["sum"]) == 1 + 2 + 3 + 4 + 5
        assert watch.facts == (None, False, 3)
        assert loader_of(trainer.val_dataloaders, 0).dataset is trainer.val_dataloaders.dataset
        trainer.save_checkpoint(tmp_path / "end.ckpt")
        position = FitPosition.of(torch.load(tmp_path / "end.ckpt", weights_only=True))
        assert (position.epoch, position.batch, position.within_epoch) == (2, 0, False)


class SaveWithin(Callback):
    """Saves between two batches of an epoch, and at its end, before Lightning counts it."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx == 2:
            trainer.save_checkpoint("within.ckpt")

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.save_checkpoint("over.ckpt")


@pytest.mark.filterwarnings("ignore")
def test_checkpoints_say_where_training_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with named():
        trainer_of(tmp_path, SaveWithin(), max_epochs=2).fit(Line(), data(Stateful))
        within = FitPosition.of(torch.load("within.ckpt", weights_only=True))
        assert (within.epoch, within.batch, within.within_epoch) == (1, 3, True)
        assert within.loader_states == [{"place": 0}]
        resumed, loader = trainer_of(tmp_path, Resume(), max_epochs=3), data(Stateful)
        resumed.fit(Line(), loader, ckpt_path="over.ckpt")
        assert (resumed.current_epoch, resumed.global_step, loader.place) == (3, 12, 7)


def test_strategies_have_what_callbacks_use():
    with named():
        strategy = DDPStrategy()
        bound_collectives(SimpleNamespace(strategy=strategy), timedelta(minutes=3))
        assert strategy._timeout == timedelta(minutes=3)
        own = DDPStrategy(timeout=timedelta(minutes=45))
        bound_collectives(SimpleNamespace(strategy=own), timedelta(minutes=3))
        assert own._timeout == timedelta(minutes=45)
        assert callable(_SubprocessScriptLauncher.kill)
