"""The sheet of the frames that a method gets most wrong."""

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from callbacks.pictures import worst_cases
from callbacks.pictures.frame_view import view_frame
from callbacks.pictures.worst_cases import MAX_WIDTH, Case, WorstCases
from lightning_modules.metrics import EvalProtocol
from lightning_modules.prediction import Prediction
from tests.helpers.tested_frames import METHOD, data_named, frame_of, output_of


@pytest.fixture
def trainer(tmp_path):
    return SimpleNamespace(
        datamodule=SimpleNamespace(test_sets=lambda: [data_named("nyuv2"), data_named("ibims1")]),
        test_dataloaders=[SimpleNamespace(dataset=None)] * 2,
        default_root_dir=str(tmp_path), is_global_zero=True, logger=None,
    )  # fmt: skip


def batch_of(indices, size=(6, 8)):
    depth = torch.full((len(indices), 1, *size), 2.0)
    return {
        "image": torch.zeros(len(indices), 3, *size), "depth": depth, "valid": depth > 0,
        "index": torch.tensor(indices), "scene": [f"scene_{i}" for i in indices], "frame": torch.tensor(indices) + 100,
    }  # fmt: skip


def show(callback, trainer, batch, errors, predicted=None, loader=0, metric="abs_rel"):
    """A test batch whose frames have the given errors."""
    prediction = Prediction(batch["depth"] * 1.5 if predicted is None else predicted)
    outputs = output_of(prediction, batch, per_image={metric: torch.tensor(errors, dtype=torch.float64)})
    callback.on_test_batch_end(trainer, METHOD, outputs, batch, 0, loader)


@pytest.fixture
def drawn(monkeypatch):
    """Cases of each sheet that is drawn, in place of the sheet."""
    sheets = {}

    def draw_sheet(cases, title, metric):
        sheets[title.split(":")[0]] = cases
        return SimpleNamespace(savefig=lambda *_, **__: None)

    monkeypatch.setattr(worst_cases, "draw_sheet", draw_sheet)
    return sheets


def test_the_worst_of_every_test_set_in_order(trainer, drawn):
    errors = np.random.default_rng(0).permutation(20) / 20
    callback = WorstCases(frames=4)
    for _ in range(2):  # a second test forgets the first
        callback.on_test_start(trainer, METHOD)
        for first in range(0, 20, 5):
            show(callback, trainer, batch_of(list(range(first, first + 5))), errors[first : first + 5])
        show(callback, trainer, batch_of([3, 1]), [0.5, 0.6], loader=1)
        callback.on_test_epoch_end(trainer, METHOD)
    assert [case.index for case in drawn["nyuv2"]] == np.argsort(-errors)[:4].tolist()
    assert [case.index for case in drawn["ibims1"]] == [1, 3]
    assert drawn["ibims1"][0].title == "scene_1, frame 101, index 1"


def test_equal_errors_go_by_index_whatever_the_order(trainer, drawn):
    for order in ([5, 2, 9, 4], [9, 4, 5, 2]):
        callback = WorstCases(frames=2)
        callback.on_test_start(trainer, METHOD)
        for index in order:
            show(callback, trainer, batch_of([index]), [0.3])
        callback.on_test_epoch_end(trainer, METHOD)
        assert [case.index for case in drawn["nyuv2"]] == [2, 4]


def test_without_a_figure(trainer, drawn):
    """No evaluated pixel: nothing is wrong. No finite prediction: nothing is worse."""
    callback = WorstCases(frames=2)
    callback.on_test_start(trainer, METHOD)
    batch = batch_of([0, 1, 2, 3])
    batch["valid"][1] = False
    predicted = batch["depth"] * 1.5
    predicted[1] = torch.nan
    predicted[2, 0, 3, 3] = torch.inf
    show(callback, trainer, batch, [0.9, math.nan, math.nan, 0.8], predicted)
    callback.on_test_epoch_end(trainer, METHOD)
    assert [(case.index, case.error) for case in drawn["nyuv2"]] == [(2, math.inf), (0, 0.9)]


def test_all_processes_take_part(trainer, drawn, monkeypatch):
    other = WorstCases(frames=2)
    other.on_test_start(trainer, METHOD)
    show(other, trainer, batch_of([1, 3]), [0.4, 0.2])

    monkeypatch.setattr(worst_cases, "gather_objects", lambda mine: [mine, other.cases])
    callback = WorstCases(frames=2)
    callback.on_test_start(trainer, METHOD)
    show(callback, trainer, batch_of([0, 2]), [0.3, 0.5])
    callback.on_test_epoch_end(trainer, METHOD)
    assert [case.index for case in drawn["nyuv2"]] == [2, 1]
    drawn.clear()
    trainer.is_global_zero = False
    callback.on_test_epoch_end(trainer, METHOD)
    assert not drawn


def test_pictures_are_small(trainer, drawn):
    callback = WorstCases()
    callback.on_test_start(trainer, METHOD)
    show(callback, trainer, batch_of([0], size=(480, 640)), [0.5])
    (case,) = callback.cases["nyuv2"]
    assert [picture.shape for picture in case.pictures] == [(300, MAX_WIDTH, 3)] * 4
    assert {picture.dtype for picture in case.pictures} == {np.dtype(np.uint8)}


def test_the_sheet(trainer, tmp_path):
    rng = np.random.default_rng(0)
    pictures = tuple(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8) for _ in range(4))
    callback = WorstCases()
    callback.on_test_start(trainer, METHOD)
    callback.cases["nyuv2"] = [Case(error, 0, "scene, frame 1", pictures, 1.0, 4.0) for error in (math.inf, 0.5)]
    callback.on_test_epoch_end(trainer, METHOD)
    assert [path.name for path in tmp_path.iterdir()] == ["worst_nyuv2.png"]  # nothing was tested on the other
    sheet = cv2.imread(str(tmp_path / "worst_nyuv2.png"))
    assert sheet.shape[1] == 1320
    assert sheet.std() > 10


@pytest.mark.parametrize(
    ("options", "reason"), [({"frames": 0}, "must be positive"), ({"metric": "mae"}, "metric `mae`")]
)
def test_impossible_options(trainer, options, reason):
    with pytest.raises(ValueError, match=reason):  # noqa: PT012
        callback = WorstCases(**options)
        callback.on_test_start(trainer, METHOD)
        show(callback, trainer, batch_of([0]), [0.5])


def test_a_view_is_in_metres_under_the_protocol():
    """Units of 10 m are for metrics; pictures and their bars are in metres, and the prediction is as evaluated."""
    protocol = EvalProtocol("unit", 0.1, 10.0, alignment="median", unit=10.0)
    batch = batch_of([0])
    batch["depth"][0, 0] = torch.linspace(1, 4, 48).view(6, 8)
    batch["valid"][0, 0, 0] = False
    view = view_frame(frame_of(output_of(Prediction(2 * batch["depth"]), batch, protocol), batch, method=METHOD))
    np.testing.assert_allclose(view.predicted, batch["depth"][0, 0], rtol=1e-6)
    np.testing.assert_allclose(view.truth, batch["depth"][0, 0], rtol=1e-6)
    assert view.abs_rel == pytest.approx(0, abs=1e-6)
    assert view.low == pytest.approx(np.percentile(batch["depth"][0, 0, 1:], 1), rel=1e-6)
    assert view.image.shape == (6, 8, 3)
    assert set(view.image.ravel()) == {128}  # grey: the mean of the normalisation, 0.5
