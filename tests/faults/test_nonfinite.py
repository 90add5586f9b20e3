"""Losses and gradients that are not finite: training stops by name, or the step is skipped and counted."""

import re

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from callbacks import NonFiniteReport
from experiments.health.failures import explain_failure
from lightning_modules.metrics import EvalProtocol
from lightning_modules.training.nonfinite import PATIENCE, NonFiniteError
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


def train(tmp_path, layout, policy, *steps, epochs=1):
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    poison = Poison(*steps)
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", default_root_dir=tmp_path, callbacks=[poison, NonFiniteReport()], **quiet
    )
    method = TinyMethod(protocol=EvalProtocol("tiny", 1e-3, 10.0), nonfinite=policy)
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
