"""Training and `verify` on broken frames, through worker processes: stopped by name, or skipped and counted."""

import gc
import os
import signal
from multiprocessing import active_children

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import nn

from datamodules.nyuv2.trees import TreeReader
from experiments.__main__ import one_line
from experiments.datasets.verify import verify
from lightning_modules.depth_module import DepthModule
from lightning_modules.metrics import EvalProtocol
from lightning_modules.prediction import Prediction
from tests.helpers.complaints import SYSTEM_ERRORS, check_complaint, failing, time_limit
from tests.helpers.faults import BROKEN_FILES, picture, truncate

pytestmark = pytest.mark.filterwarnings("ignore:skipped", "ignore:.*does not have many workers", "ignore:.*log_every_n")

#: Seconds after which a test counts as hanging; none takes a tenth of it on an idle machine.
HANG = 100


@pytest.fixture(autouse=True)
def _no_process_is_left():
    before = set(active_children())
    yield
    gc.collect()
    own = [worker for worker in active_children() if worker not in before]
    for worker in own:
        worker.join(10)
    assert not any(worker.is_alive() for worker in own)


class BrightnessToDepth(DepthModule):
    """The smallest method there is: depth is linear in brightness."""

    normalization = ((0.5,) * 3, (0.25,) * 3)

    def __init__(self):
        super().__init__(protocol=EvalProtocol("tiny", 1e-3, 10.0))
        self.network = nn.Conv2d(3, 1, 1)

    def forward(self, batch):
        return Prediction(depth=nn.functional.softplus(self.network(batch["image"])) + 0.1)


def trainer(tmp_path, *callbacks, epochs=1):
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return Trainer(max_epochs=epochs, accelerator="cpu", default_root_dir=tmp_path, callbacks=list(callbacks), **quiet)


class BreakAfterFirstEpoch(Callback):
    """Breaks a file while training runs."""

    def __init__(self, path):
        self.path = path

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == 0:
            truncate(self.path)


TRAIN_DEPTH = "nyuv2/sync/*/sync_depth_*.png"


@pytest.mark.parametrize("fault", BROKEN_FILES)
def test_training_stops_at_a_broken_frame(layout, tmp_path, fault):
    data = layout("bts")
    module = data.module(num_workers=2)
    module.setup()
    file = data.file(TRAIN_DEPTH)
    BROKEN_FILES[fault](file)
    with time_limit(HANG), pytest.raises((ValueError, OSError)) as caught:
        trainer(tmp_path).fit(BrightnessToDepth(), module)
    check_complaint(one_line(caught.value), file.name)


def test_training_stops_at_a_frame_that_breaks_while_it_runs(layout, tmp_path):
    data = layout("bts")
    file = data.file(TRAIN_DEPTH)
    running = trainer(tmp_path, BreakAfterFirstEpoch(file), epochs=3)
    with time_limit(HANG), pytest.raises(ValueError, match="truncated") as caught:
        running.fit(BrightnessToDepth(), data.module(num_workers=2))
    check_complaint(one_line(caught.value), file.name)
    assert running.current_epoch == 1


def test_training_stops_at_a_read_error_in_a_worker(layout, tmp_path, monkeypatch):
    data = layout("bts")
    module = data.module(num_workers=2)
    module.setup()
    file = data.file(TRAIN_DEPTH)
    broken = failing(monkeypatch, file, SYSTEM_ERRORS["read error"])
    with broken, time_limit(HANG), pytest.raises(ValueError, match="cannot be read") as caught:
        trainer(tmp_path).fit(BrightnessToDepth(), module)
    check_complaint(one_line(caught.value), file.name)


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_frames_are_skipped_and_counted(layout, tmp_path, workers):
    data = layout("bts")
    file = data.file(TRAIN_DEPTH)
    running = trainer(tmp_path, BreakAfterFirstEpoch(file), epochs=2)
    module = data.module(num_workers=workers, on_bad_sample="skip")
    picture(lambda depth: depth * 0)(data.file("nyuv2/sync/bedroom*/sync_depth_*.png"))
    with time_limit(HANG):
        running.fit(BrightnessToDepth(), module)
    assert running.global_step == 4  # 2 epochs of 4 frames in batches of 2: none is left out
    assert running.callback_metrics["train/skipped"] == 2  # of the second epoch


def test_nothing_left_to_skip_to(layout, tmp_path):
    data = layout("bts")
    module = data.module(num_workers=2, on_bad_sample="skip")
    module.setup()
    for file in data.folder.glob(TRAIN_DEPTH):
        truncate(file)
    with time_limit(HANG), pytest.raises(ValueError, match="none of the frames can be read"):
        trainer(tmp_path).fit(BrightnessToDepth(), module)


def test_evaluation_never_skips(layout, tmp_path):
    data = layout("bts")
    file = data.file("nyuv2/official_splits/test/*/sync_depth_*.png")
    truncate(file)
    with time_limit(HANG), pytest.raises(ValueError, match="truncated") as caught:
        trainer(tmp_path).test(BrightnessToDepth(), data.module(num_workers=2, on_bad_sample="skip"), verbose=False)
    check_complaint(one_line(caught.value), file.name)


@pytest.mark.parametrize("die", [lambda: os._exit(1), lambda: os.kill(os.getpid(), signal.SIGKILL)])
@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_worker_that_dies_ends_training(layout, tmp_path, monkeypatch, die, policy):
    module = layout("bts").module(num_workers=2, on_bad_sample=policy)
    main, read = os.getpid(), TreeReader.read

    def fatal(self, position):
        if os.getpid() != main and position == 1:
            die()
        return read(self, position)

    monkeypatch.setattr(TreeReader, "read", fatal)
    with time_limit(HANG), pytest.raises(RuntimeError, match="DataLoader worker"):
        trainer(tmp_path).fit(BrightnessToDepth(), module)


def test_verify_names_every_broken_frame(layout, capsys):
    data = layout("bts")
    files = sorted(data.folder.glob(TRAIN_DEPTH))
    truncate(files[0])
    picture(lambda depth: depth * 0)(files[1])
    test = data.file("nyuv2/official_splits/test/*/rgb_*.jpg")
    truncate(test)
    with time_limit(HANG), pytest.raises(SystemExit) as status:
        verify(data.module(), workers=2)
    assert status.value.code == 1
    broken = [line for line in capsys.readouterr().out.splitlines() if line.startswith("broken: ")]
    assert len(broken) == 3
    for file, part in [(files[0], "train"), (files[1], "train"), (test, "test")]:
        (line,) = [line for line in broken if str(file) in line]
        check_complaint(line, f"broken: {part}: ")


def test_first_frame_is_no_worse_than_another(layout):
    """The size of frames is taken from the first that can be read, so that a broken one does not hide the rest."""
    for name, pattern in [
        ("bts", "nyuv2/sync/bedroom*/rgb_00000.jpg"),
        ("hypersim", "hypersim/ai_001_001/images/*/frame.0000.depth_meters.hdf5"),
        ("ibims_mat", "ibims1/*/livingroom_01.mat"),
    ]:
        data = layout(name, name)
        truncate(data.file(pattern))
        reader = data.module().reader
        with pytest.raises(ValueError, match="truncated"):
            reader.read(0)
        assert torch.isfinite(reader.read(1).maps["depth"]).all()
