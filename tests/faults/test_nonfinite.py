"""Losses and gradients that are not finite: training stops by name, or the step is skipped and counted."""

import re

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from callbacks import NonFiniteReport
from experiments.health.failures import explain_failure
from lightning_modules.metrics import EvalProtocol
from lightning_modules.prediction import Prediction
from lightning_modules.training.nonfinite import PATIENCE, NonFiniteError, NonFiniteGuard
from tests.helpers.tiny_method import TinyMethod

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*log_every_n")


class Poison(Callback):
    """Makes the images of some steps infinite."""

    def __init__(self, *steps):
        self.steps = steps
        self.weights = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.weights.append([p.detach().clone() for p in pl_module.parameters()])
        self.frames = batch["index"].tolist()
        if trainer.fit_loop.epoch_loop.total_batch_idx in self.steps:
            batch["image"][0] = torch.inf


def train(tmp_path, layout, policy, *steps, epochs=1, late=None, more=()):
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    poison = Poison(*steps)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        default_root_dir=tmp_path,
        callbacks=[poison, NonFiniteReport(), *more],
        **quiet,
    )
    method = TinyMethod(protocol=EvalProtocol("tiny", 1e-3, 10.0), nonfinite=policy)
    method.nonfinite.late = late
    method.network[1] = torch.nn.Identity()  # batch norm would remember the infinity
    trainer.fit(method, layout("bts").module())
    return trainer, poison


def test_stop_names_the_frames_and_leaves_a_dump(layout, tmp_path):
    with pytest.raises(
        NonFiniteError, match=r"step 1: the gradient is not finite; losses depth nan of frames \d+ \("
    ) as e:
        train(tmp_path, layout, "stop", 1)
    dump = torch.load(tmp_path / "nonfinite.pt", weights_only=True)
    assert dump["step"] == 1
    assert all(f"{index} ({scene})" in str(e.value) for index, scene in zip(dump["index"], dump["scene"], strict=True))
    assert dump["prediction"]["nonfinite_of_image"][0] > 0
    assert "state_dict" not in dump


def test_skip_leaves_the_weights_and_counts(layout, tmp_path):
    trainer, poison = train(tmp_path, layout, "skip", 1, 3, epochs=3)
    assert trainer.global_step == 6
    changed = [
        any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
        for before, after in zip(poison.weights, poison.weights[1:], strict=False)
    ]
    assert changed == [True, False, True, False, True]
    assert trainer.callback_metrics["train/nonfinite_batches"] == 0  # of the last epoch
    assert torch.isfinite(trainer.callback_metrics["train/loss_epoch"])
    assert not (tmp_path / "nonfinite.pt").exists()


def test_too_many_in_a_row_stop(layout, tmp_path):
    with pytest.raises(NonFiniteError, match=f"{PATIENCE + 1} times in a row"):
        train(tmp_path, layout, "skip", *range(100), epochs=50)


def test_a_late_verdict_stops_before_the_next_step(layout, tmp_path):
    """As on a GPU, which is not waited for: the weights stay finite, and no later step is taken."""
    with pytest.raises(NonFiniteError, match=r"step 0: the gradient is not finite; losses depth nan of frames \d+ \("):
        train(tmp_path, layout, "stop", 0, late=True)
    dump = torch.load(tmp_path / "nonfinite.pt", weights_only=True)
    assert dump["step"] == 0
    assert dump["prediction"]["nonfinite_of_image"][0] > 0


class Weights(Callback):
    def on_exception(self, trainer, pl_module, exception):
        self.finite = all(p.isfinite().all() for p in pl_module.parameters())
        self.steps = trainer.global_step


@pytest.mark.parametrize("last", [1, 3])
def test_a_late_verdict_comes_before_an_epoch_ends(layout, tmp_path, last):
    weights = Weights()
    with pytest.raises(NonFiniteError, match=f"step {last}: the gradient is not finite"):
        train(tmp_path, layout, "stop", last, epochs=3, late=True, more=[weights])
    assert weights.finite
    assert weights.steps == last + 1


def test_no_late_verdict_is_saved(layout, tmp_path):
    trainer, _ = train(tmp_path, layout, "stop", late=True)
    method = trainer.lightning_module
    for parameter in method.parameters():
        parameter.grad = torch.full_like(parameter, torch.nan)
    assert method.nonfinite.check(method.parameters(), 7)
    assert all(not parameter.grad.any() for parameter in method.parameters())
    with pytest.raises(NonFiniteError, match=r"step 7: .* another process"):
        trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert not (tmp_path / "last.ckpt").exists()


def test_batches_of_an_accumulated_step_are_told_apart():
    guard = NonFiniteGuard("stop", late=True)
    weight = torch.nn.Parameter(torch.ones(1))
    for number, loss in enumerate((1.0, torch.inf, 2.0)):
        batch = {"index": torch.tensor([number]), "scene": [f"room{number}"], "valid": torch.ones(1, 1, 2, 2).bool()}
        assert guard.note({"depth": torch.tensor(loss)}, batch, Prediction(torch.ones(1, 1, 2, 2)))
    weight.grad = torch.full_like(weight, torch.inf)
    assert guard.check([weight], 0)
    assert weight.grad == 0
    with pytest.raises(NonFiniteError, match=r"losses depth inf of frames 1 \(room1\)"):
        guard.settle()
    assert guard.settle()  # said once


def test_a_step_that_is_over_cannot_be_skipped():
    with pytest.raises(ValueError, match="cannot be skipped"):
        NonFiniteGuard("skip", late=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_not_waited_for_while_all_is_finite():
    guard = NonFiniteGuard("stop")
    weight = torch.nn.Parameter(torch.ones(3, device="cuda"))
    batch = {"index": torch.tensor([0]), "scene": ["room"], "valid": torch.ones(1, 1, 2, 2).bool()}
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(3):
            assert guard.note({"depth": weight.sum()}, batch, Prediction(torch.ones(1, 1, 2, 2)))
            weight.grad = torch.ones_like(weight)
            assert guard.check([weight], step)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0"),
            "GPU memory is full .2.50 GiB",
        ),
        (MemoryError(), "memory is full: halve what is loaded"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is"), "pid 7.*Bus error.*shm-size"),
        (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), "pid.*7, 8.*num_workers"),
    ],
)
def test_what_to_do_is_said(error, words):
    assert re.search(words, explain_failure(error))
    later = ValueError("what was raised while it was handled")
    later.__context__ = error
    assert re.search(words, explain_failure(later))


def test_other_errors_speak_for_themselves():
    assert explain_failure(ValueError("frame 7: no depth")) is None
