"""The confusion matrix: a picture and a table of classes for every test set."""

import csv
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from callbacks import ConfusionMatrix
from callbacks.pictures.confusion_matrix import class_rows, draw_confusion
from lightning_modules.evaluation import Evaluation
from lightning_modules.metrics import EvalProtocol
from lightning_modules.prediction import Prediction

SETS = {"rooms": ("wall", "floor", "bed"), "nyuv2": ("1", "2", "3", "4", "5")}


@pytest.fixture
def trainer(tmp_path):
    data = [SimpleNamespace(name=name, class_names=names) for name, names in SETS.items()]
    return SimpleNamespace(
        datamodule=SimpleNamespace(test_sets=lambda: data), default_root_dir=str(tmp_path), is_global_zero=True,
        logger=None,
    )  # fmt: skip


def method(truth):
    """A method after a test in which it took every pixel for the last class of the data, and id 1 for itself."""
    evaluations = {}
    for name, names in SETS.items():
        evaluation = Evaluation(EvalProtocol("p", 0.1, 10.0), None, frozenset({"semantics"}), len(names))
        semantics = torch.tensor(truth)[None]
        predicted = semantics.where(semantics == 1, len(names))
        logits = torch.nn.functional.one_hot(predicted - 1, len(names)).permute(0, 3, 1, 2).float()
        depth = torch.ones(1, 1, *semantics.shape[1:])
        batch = {"depth": depth, "valid": depth > 0, "semantics": semantics, "intrinsics": torch.eye(3)[None]}
        evaluation.metrics = torch.nn.ModuleDict({"semantic": evaluation.metrics["semantic"]})
        evaluation.update(Prediction(depth=depth, semantics=logits), batch)
        evaluations[f"test/{name}"] = evaluation
    return SimpleNamespace(evaluations=evaluations)


def test_each_test_set_has_a_picture_and_a_table_under_its_own_names(trainer, tmp_path):
    ConfusionMatrix().on_test_epoch_end(trainer, method([[1, 1, 2], [2, 3, 0]]))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "class_iou_nyuv2.csv", "class_iou_rooms.csv", "confusion_nyuv2.png", "confusion_rooms.png",
    ]  # fmt: skip
    with (tmp_path / "class_iou_rooms.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["class"], row["pixels"]) for row in rows] == [
        ("1", "wall", "2"), ("2", "floor", "2"), ("3", "bed", "1"),
    ]  # fmt: skip
    assert [float(row["iou"]) for row in rows] == pytest.approx([1, 0, 1 / 3])
    with (tmp_path / "class_iou_nyuv2.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == list("12345")
    assert (rows[3]["pixels"], rows[3]["accuracy"], rows[3]["iou"]) == ("0", "", "")  # neither there nor predicted
    assert (rows[4]["accuracy"], rows[4]["iou"]) == ("", "0.0")  # predicted, and not there
    assert cv2.imread(str(tmp_path / "confusion_rooms.png")).std() > 10


def test_w_and_b_gets_all_pictures_at_once_and_a_table_each(trainer, monkeypatch):
    from callbacks.records import wandb_media

    class Logger:
        images, tables = [], []

        def log_image(self, key, images, caption):
            self.images.append((key, len(images), caption))

        def log_table(self, key, columns, data):
            self.tables.append((key, len(columns), len(data)))

    monkeypatch.setattr(wandb_media, "WandbLogger", Logger)
    trainer.logger = Logger()
    ConfusionMatrix().on_test_epoch_end(trainer, method([[1, 1, 2]]))
    assert Logger.images == [("test/confusion", 2, ["rooms", "nyuv2"])]
    assert Logger.tables == [("test/class_iou/rooms", 6, 3), ("test/class_iou/nyuv2", 6, 5)]


def test_without_labels_or_a_segmentation_there_is_nothing(trainer, tmp_path):
    ConfusionMatrix().on_test_epoch_end(trainer, method([[0, 0]]))
    unmeasured = {f"test/{name}": Evaluation(EvalProtocol("p", 0.1, 10.0)) for name in SETS}
    ConfusionMatrix().on_test_epoch_end(trainer, SimpleNamespace(evaluations=unmeasured))
    assert list(tmp_path.iterdir()) == []


def test_only_the_classes_that_are_there_are_drawn_the_most_frequent_first():
    counts = np.array([[1, 0, 0, 0], [0, 4, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    figure = draw_confusion(counts, ("a", "b", "c", "d"), "title")
    matrix, bars = figure.axes[:2]
    assert [label.get_text() for label in matrix.get_yticklabels()] == ["b", "a", "c"]
    assert np.allclose(matrix.images[0].get_array(), [[4 / 6, 0, 2 / 6], [0, 1, 0], [0, 0, 0]])
    assert [bar.get_width() for bar in bars.patches] == pytest.approx([4 / 6, 1, 0])
    assert class_rows(counts, ("a", "b", "c", "d"))[1] == (2, "b", 6, 4 / 6, 4 / 6)
