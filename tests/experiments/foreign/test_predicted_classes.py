"""Predicted semantics are of the classes that the method reads."""

from types import SimpleNamespace

import pytest
import torch

from experiments.config.compose import ConfigError
from experiments.foreign.predicted_semantics import PredictedSemantics
from lightning_modules.prediction import Prediction


class Segmenter:
    normalization = (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)

    def __call__(self, batch):
        return Prediction(depth=None, semantics=torch.zeros(2, 40, *batch["image"].shape[-2:]))


@pytest.mark.parametrize(("classes", "fits"), [(40, True), (894, False)])
def test_number_of_classes(classes, fits):
    callback = PredictedSemantics("run")
    callback.segmenter = Segmenter()  # which `setup` loads
    method = SimpleNamespace(normalization=Segmenter.normalization, classes=classes)
    batch = {"image": torch.rand(2, 3, 8, 8)}
    if fits:
        assert callback.segment(batch, method).shape == (2, 40, 8, 8)
    else:
        with pytest.raises(ConfigError, match="Segmenter predicts 40 classes, but the method reads 894"):
            callback.segment(batch, method)
