"""Every frame of a test is looked at once, with its own metrics and its own data set; a stopped test is resumed."""

import io
from types import SimpleNamespace

import pytest
import torch

from callbacks import PerImageTable, RetrievalPicture, WorstCases
from callbacks.checkpoints.test_progress import HasTestState
from callbacks.records.frame_callback import FrameCallback
from lightning_modules.prediction import Prediction
from tests.helpers.tested_frames import METHOD, data_named, output_of


class Seen(FrameCallback):
    """Notes the frames that it is shown."""

    def __init__(self, chosen=None):
        self.wanted, self.seen = chosen, []

    def chosen(self, data, method, dataset):
        return self.wanted

    def on_frame(self, trainer, frame):
        self.seen.append((frame.data.name, frame.index, frame.name, dict(frame.metrics)))


def trainer_of():
    loaders = [SimpleNamespace(dataset=None)] * 2
    datamodule = SimpleNamespace(test_sets=lambda: [data_named("first"), data_named("second")])
    return SimpleNamespace(datamodule=datamodule, test_dataloaders=loaders)


def batch_of(indices):
    depth = torch.full((len(indices), 1, 6, 8), 2.0)
    return {
        "image": torch.zeros(len(indices), 3, 6, 8), "depth": depth, "valid": depth > 0,
        "index": torch.tensor(indices), "scene": [f"room_{i}" for i in indices], "frame": torch.tensor(indices) + 100,
    }  # fmt: skip


def show(callback, indices, errors, loader=0):
    batch = batch_of(indices)
    per_image = {"abs_rel": torch.tensor(errors, dtype=torch.float64)}
    outputs = output_of(Prediction(1.5 * batch["depth"]), batch, per_image=per_image)
    callback.on_test_batch_end(trainer_of(), METHOD, outputs, batch, 0, loader)


@pytest.mark.parametrize("chosen", [None, {4, 7}])
def test_frames_come_with_what_is_theirs(chosen):
    callback = Seen(chosen)
    show(callback, [3, 4], [0.25, 0.5])
    show(callback, [7], [0.75], loader=1)
    expected = [
        ("first", 3, "room_3, frame 103", {"abs_rel": 0.25}),
        ("first", 4, "room_4, frame 104", {"abs_rel": 0.5}),
        ("second", 7, "room_7, frame 107", {"abs_rel": 0.75}),
    ]
    assert callback.seen == [frame for frame in expected if chosen is None or frame[1] in chosen]


@pytest.mark.parametrize("kind", [PerImageTable, WorstCases, RetrievalPicture])
def test_the_state_of_a_test_travels_through_a_file_of_plain_values(kind):
    stopped, resumed = kind(), kind()
    for callback in (stopped, resumed):
        assert isinstance(callback, HasTestState)
        callback.on_test_start(trainer_of(), METHOD)
    show(stopped, [3, 4], [0.25, 0.5])
    show(stopped, [7], [0.75], loader=1)
    file = io.BytesIO()
    torch.save(stopped.test_state(), file)
    file.seek(0)
    resumed.load_test_state(torch.load(file, weights_only=True))
    assert str(resumed.test_state()) == str(stopped.test_state())
