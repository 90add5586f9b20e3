"""States of metrics are taken and put back whole: sums, lists of rows, and the number of batches."""

import pytest
import torch
import torchmetrics
from torch import nn
from torchmetrics import MeanMetric
from torchmetrics.aggregation import CatMetric

from callbacks.records.metric_states import metric_states, restore_metrics


def metrics():
    return {"a": nn.ModuleDict({"mean": MeanMetric(), "rows": CatMetric()})}


def test_states_are_put_back():
    changed = f"torchmetrics {torchmetrics.__version__} has changed how metrics keep their states"
    first, second = metrics(), metrics()
    for value in (1.0, 5.0):
        first["a"]["mean"].update(value)
        first["a"]["rows"].update(torch.tensor([value]))
    states = metric_states(first)
    second["a"]["mean"].update(100.0)
    second["a"]["mean"].compute()  # which is kept
    restore_metrics(second, states)
    assert second["a"]["mean"].compute() == 3, changed
    assert second["a"]["rows"].compute().tolist() == [1, 5], changed
    assert second["a"]["mean"].update_count == 2, changed
    second["a"]["mean"].update(9.0)
    assert second["a"]["mean"].compute() == 5, changed


def test_other_metrics_are_refused():
    with pytest.raises(KeyError, match="a rows"):
        restore_metrics({"a": nn.ModuleDict({"mean": MeanMetric()})}, metric_states(metrics()))
