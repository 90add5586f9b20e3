"""Each metric as a function: the values of its class, and none is forgotten."""

import inspect

import pytest
import torch

from lightning_modules.metrics import SUITE, EvalProtocol, functional
from tests.test_evaluation import make_batch, make_prediction

PROTOCOL = EvalProtocol("plain", min_depth=0.1, max_depth=10.0)
FUNCTIONS = {
    "depth": functional.depth_errors,
    "unit": functional.depth_errors_in_units,
    "object": functional.objectwise_errors,
    "boundary": functional.boundary_error,
    "depth_boundary": functional.depth_boundary_f1,
    "cloud": functional.point_cloud_chamfer,
    "plane": functional.planarity_errors,
    "segment": functional.segment_quality,
    "semantic": functional.segmentation_accuracy,
    "image_class": functional.image_class_scores,
    "edge": functional.edge_detection,
    "region": functional.region_errors,
    "range": functional.range_errors,
    "label_border": functional.border_errors,
    "thin": functional.thin_errors,
    "layout": functional.layout_flatness,
    "smoothness": functional.object_roughness,
    "uncertainty": functional.sparsification,
    "coverage": functional.coverage,
    "retrieval": functional.layout_retrieval,
}


def test_each_metric_has_one():
    public = {
        function
        for name, function in inspect.getmembers(functional, inspect.isfunction)
        if function.__module__ == functional.__name__ and not name.startswith("_")
    }
    assert FUNCTIONS.keys() == SUITE.keys()
    assert set(FUNCTIONS.values()) == public


@pytest.mark.parametrize("group", FUNCTIONS)
def test_it_returns_what_the_class_computes(group):
    batch, metric = make_batch(), SUITE[group]
    prediction = make_prediction(batch)
    options = {"unit": 10.0} if group == "unit" else {}
    depth = (batch["depth"], batch["valid"]) if metric.reads == "depth" and group != "boundary" else ()
    beside = (getattr(prediction, name) for name in metric.also_reads)
    arguments = (getattr(prediction, metric.reads), *depth, *beside, *(batch[key] for key in metric.needs))
    own = (PROTOCOL,) if depth else ()
    made = metric(*own, **options)
    made.update(*arguments)
    values = FUNCTIONS[group](*arguments, *own, **options)
    assert values.keys() == made.compute().keys()
    for key, value in made.compute().items():
        torch.testing.assert_close(values[key], value, rtol=0, atol=0, equal_nan=True)


def test_options_are_those_of_the_class():
    batch = make_batch()
    arguments = (make_prediction(batch).depth, batch["depth"], batch["valid"])
    values = functional.depth_errors(*arguments, PROTOCOL, thresholds=(1.05,))
    assert "delta2" not in values
    assert values["delta1"] < functional.depth_errors(*arguments, PROTOCOL)["delta1"]
