"""Captured steps against steps as they are, through Lightning's own loop; replays are recomputed in place on CPUs."""

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.utils.data import DataLoader, Dataset

from lightning_modules import DPTHybrid
from lightning_modules.losses import SILogLoss
from lightning_modules.metrics import EvalProtocol
from lightning_modules.training.captured_step import CapturedStep, Computed, check_capture, unchanged

SIZE = 32


def recompute_in_place(function, module=None):
    """Record as a CUDA graph does: nothing is changed yet, and the results have one memory, which replays overwrite."""
    with unchanged(module or nn.Module(), torch.device("cpu")):
        held = function()

    def replay():
        new = function()
        for name, loss in new.losses.items():
            held.losses[name].copy_(loss)
        held.depth.copy_(new.depth)
        for old, gradient in zip(held.gradients, new.gradients, strict=True):
            assert (old is None) == (gradient is None)
            if old is not None:
                old.copy_(gradient)

    return Computed(dict(held.losses), held.depth, held.gradients), replay


class Frames(Dataset):
    def __len__(self):
        return 7

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        depth = 1 + 5 * torch.rand(1, SIZE, SIZE, generator=generator)
        return {
            "image": torch.randn(3, SIZE, SIZE, generator=generator),
            "depth": depth,
            "valid": depth > 1.5,
            "index": index,
            "scene": "none",
        }


def train(capture, monkeypatch, **trainer):
    torch.manual_seed(0)
    method = DPTHybrid(
        protocol=EvalProtocol("plain", min_depth=0.1, max_depth=10.0),
        backbone="resnet18+vit_tiny_patch16_224",
        width=8,
        pretrained=False,
        capture=capture,
    )
    seen = []
    if capture:
        monkeypatch.setattr("lightning_modules.depth_module.check_capture", lambda *_, **__: None)
        record = CapturedStep._record

        def note_and_record(step, batch):
            seen.append(len(batch["image"]))
            step.record = lambda function: recompute_in_place(function, step.module)
            record(step, batch)

        monkeypatch.setattr(CapturedStep, "_record", note_and_record)
    loop = Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, **trainer,
    )  # fmt: skip
    loop.fit(method, DataLoader(Frames(), batch_size=2))
    return method, seen, loop.callback_metrics


@pytest.mark.parametrize("trainer", [{}, {"precision": "bf16-mixed", "gradient_clip_val": 0.1}])
def test_a_captured_fit_is_the_plain_one(trainer, monkeypatch):
    """Weights, running statistics and logged loss, with an epoch's last batch of another size."""
    plain, _, logged = train(False, monkeypatch, **trainer)
    captured, recorded, logged_too = train(True, monkeypatch, **trainer)
    assert recorded == [2]
    for (name, one), other in zip(plain.state_dict().items(), captured.state_dict().values(), strict=True):
        torch.testing.assert_close(other, one, msg=lambda text, name=name: f"{name}: {text}")
    torch.testing.assert_close(logged_too["train/loss"], logged["train/loss"])


class Scaled(nn.Module):
    """One weight, a running sum, and dropout."""

    def __init__(self):
        super().__init__()
        self.weight, self.unused = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(1.0))
        self.register_buffer("seen", torch.zeros(()))

    def compute(self, batch):
        from lightning_modules.prediction import Prediction

        self.seen += 1
        depth = torch.dropout(self.weight * batch["image"], 0.5, True)
        return Prediction(depth=depth), {"sum": depth.sum(), "again": depth.sum()}


def test_warming_up_changes_neither_buffers_nor_random_numbers():
    module = Scaled()
    ran = []

    def record(function):
        ran.append((module.seen.item(), torch.random.get_rng_state()))
        return recompute_in_place(function)

    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    CapturedStep(module, module.compute, record)({"image": torch.ones(4)})
    assert ran[0][0] == 0
    assert torch.equal(ran[0][1], before)


def test_results_outlive_the_next_replay_and_gradients_are_handed_over_once():
    module = Scaled()
    step = CapturedStep(module, module.compute, recompute_in_place)
    first, losses = step({"image": torch.zeros(4)})
    assert step.hand_over_gradients()
    assert module.weight.grad == 0
    step({"image": torch.full((4,), 3.0)})
    assert first.depth.eq(0).all()
    assert losses["sum"] == losses["again"] == 0
    assert step.hand_over_gradients()
    assert not step.hand_over_gradients()
    assert module.weight.grad % 12 == 0  # two terms, dropout's factor of two, ones of 3
    assert module.unused.grad is None


def test_other_shapes_do_not_fit():
    module = Scaled()
    step = CapturedStep(module, module.compute, recompute_in_place)
    assert step.fits({"image": torch.zeros(4)})
    step({"image": torch.zeros(4)})
    assert step.fits({"image": torch.ones(4)})
    assert not step.fits({"image": torch.ones(3)})
    assert not step.fits({"image": torch.ones(4, dtype=torch.float64)})


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"device": torch.device("cpu")}, "CUDA device"),
        ({"precision": "16-mixed"}, "trainer.precision"),
        ({"accumulated": 2}, "accumulate_grad_batches"),
        ({"processes": 2}, "trainer.devices"),
    ],
)
def test_what_a_replay_cannot_do_is_refused(changed, named):
    fine = {"device": torch.device("cuda"), "precision": "bf16-mixed", "accumulated": 1, "processes": 1}
    check_capture(fine.pop("device"), **fine)
    options = {"device": torch.device("cuda")} | fine | changed
    with pytest.raises(ValueError, match=named):
        check_capture(options.pop("device"), **options)


def test_silog_needs_no_synchronisation():
    """A graph cannot hold a copy to the CPU."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            assert "local_scalar" not in str(function)
            assert "nonzero" not in str(function)
            return function(*args, **(kwargs or {}))

    depth = torch.rand(2, 1, 4, 4, requires_grad=True)
    with Watch():
        SILogLoss()(depth, depth.detach() + 1, depth > 0.1).backward()
