"""Every method of the suite predicts photos of any shape, from the image alone, or is refused by name."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.config.error import ConfigError
from experiments.inference.input_view import InputView
from experiments.inference.predictor import Predictor
from tests.contract.methods import METHODS


@pytest.mark.parametrize("name", METHODS)
def test_a_photo_needs_no_truth(name, assemble):
    assembled = assemble(name)
    method, data = assembled.method, assembled.data
    view = replace(InputView.of_run(method, data, {}), size=(64, 96), squeezed=False)
    if method.oracle:
        with pytest.raises(ConfigError, match=f"reads true {method.oracle}"):
            Predictor(method, view)
        return
    predictor = Predictor(method, view, class_names=data.class_names, device="cpu")
    photo = np.random.default_rng(0).integers(0, 256, (150, 110, 3), dtype=np.uint8)
    result = predictor.infer(photo)
    assert result.shown[0] > result.shown[1]
    assert (result.depth is not None) == method.predicts_depth
    assert bool(result.segments) == (name in ("shed", "cast"))
    found = [result.depth, result.classes, result.edges, *result.segments]
    for map_ in [map_ for map_ in found if map_ is not None]:
        assert map_.shape == (150, 110)
        assert np.isfinite(map_).all()
    if result.classes is not None:
        assert result.classes.min() >= 1
        assert result.classes.max() <= data.classes
