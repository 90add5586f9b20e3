"""Boundary pictures: which pixels are yellow, green and red, and what the legend says of them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from callbacks.pictures.boundary_picture import FALSE, FOUND, TRUE, boundary_legend, boundary_picture, predicted_edges
from callbacks.pictures.frame_view import FrameView, view_frame
from callbacks.pictures.panels import draw_panel
from lightning_modules.evaluation import EvaluationOptions
from lightning_modules.metrics import BoundaryProtocol, EvalProtocol
from lightning_modules.metrics.boundary import depth_edges
from lightning_modules.prediction import Prediction
from tests.helpers.tested_frames import frame_of, output_of

SIZE = (40, 60)


def step(*columns: int) -> np.ndarray:
    """Depth that grows by 2 m before each of the columns."""
    depth = np.ones(SIZE)
    for column in columns:
        depth[:, column:] += 2
    return depth


def view_of(truth, predicted, annotated=None, tolerance=1.0) -> FrameView:
    image, everywhere = np.full((*SIZE, 3), 100, dtype=np.uint8), np.ones(SIZE, dtype=bool)
    boundary = BoundaryProtocol(tolerance=tolerance)
    return FrameView(image, truth, predicted, everywhere, 1.0, 5.0, annotated=annotated, boundary=boundary)


def painted(picture: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return (picture == np.array(color)).all(axis=2)


def test_an_annotated_line_two_pixels_off():
    annotated = np.zeros(SIZE, dtype=bool)
    annotated[1:-1, 22] = True
    predicted = step(20, 45)
    edges = depth_edges(predicted, np.ones(SIZE, dtype=bool), BoundaryProtocol())
    near, far = edges & (np.arange(60) < 30), edges & (np.arange(60) > 30)
    assert near.any()
    assert far.any()

    strict = boundary_picture(view_of(predicted, predicted, annotated))
    assert np.array_equal(painted(strict, TRUE), annotated)
    assert np.array_equal(painted(strict, FALSE), edges)
    assert not painted(strict, FOUND).any()

    tolerant = boundary_picture(view_of(predicted, predicted, annotated, tolerance=3))
    assert np.array_equal(painted(tolerant, FOUND), near)
    assert np.array_equal(painted(tolerant, FALSE), far)
    assert np.array_equal(painted(tolerant, TRUE), annotated & ~near)


def test_without_annotation_the_truth_s_own_edges_are_true():
    view = view_of(step(20, 45), step(20))
    picture = boundary_picture(view)
    assert painted(picture, FOUND).any()
    assert painted(picture, TRUE)[:, 40:].any()
    assert not painted(picture, TRUE)[:, :30].any()  # hidden by what was found
    assert not painted(picture, FALSE).any()
    assert list(boundary_legend(view)) == ["true (of true depth)", "found (within 1 px)", "false"]


def test_without_any_truth_all_is_false_and_without_a_prediction_nothing():
    none = np.zeros(SIZE, dtype=bool)
    picture = boundary_picture(view_of(step(20), step(20), none))
    assert painted(picture, FALSE).any()
    assert not painted(picture, FOUND).any()
    silent = boundary_picture(view_of(step(20), None))
    assert painted(silent, TRUE).any()
    assert not painted(silent, FALSE).any()


@pytest.mark.parametrize("width", [None, 30])
def test_a_frame_brings_its_annotation_and_the_evaluation_s_options(width):
    depth = torch.from_numpy(step(20)).float()[None, None]
    occlusion = torch.zeros(1, 1, *SIZE, dtype=torch.bool)
    occlusion[..., 1:-1, 20] = True
    valid = torch.ones_like(occlusion)
    valid[..., 30:] = False
    batch = {"image": torch.zeros(1, 3, 20, 30), "depth": depth, "valid": valid, "occlusion": occlusion}
    protocol, options = EvalProtocol("test", 0.1, 20.0), EvaluationOptions(boundary=BoundaryProtocol(tolerance=2.5))
    module = SimpleNamespace(evaluation=options, normalization=((0, 0, 0), (1, 1, 1)))
    prediction = Prediction(depth=torch.from_numpy(step(50)).float()[None, None])
    view = view_frame(frame_of(output_of(prediction, batch, protocol), batch, method=module), width)
    scale = 1 if width is None else 2
    assert view.boundary.tolerance == 2.5
    assert view.annotated.shape == view.sought.shape == (40 // scale, 60 // scale)
    assert view.annotated[5, 20 // scale]
    assert predicted_edges(view)[:, 45 // scale :].any()  # where the truth has a hole
    assert not predicted_edges(replace(view, annotated=None)).any()


def test_the_panel_says_what_the_colours_mean():
    view = view_of(step(20), step(20), np.zeros(SIZE, dtype=bool))
    depth = torch.ones(1, 1, *SIZE)
    batch = {"scene": ["a"], "frame": torch.tensor([1]), "depth": depth, "valid": depth > 0}
    figure = draw_panel(frame_of(output_of(Prediction(depth), batch), batch), view)
    (axis,) = (axis for axis in figure.axes if axis.get_title() == "boundaries")
    legend = axis.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["true (annotated)", "found (within 1 px)", "false"]
    drawn = [tuple(round(255 * part) for part in patch.get_facecolor()[:3]) for patch in legend.get_patches()]
    assert drawn == [TRUE, FOUND, FALSE]
