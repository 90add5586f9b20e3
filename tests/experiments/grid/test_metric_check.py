"""A sweep by a metric that no run has is refused before it begins."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.config.error import ConfigError
from experiments.grid.metric_check import check_metric


def test_a_misspelt_metric_is_answered_with_the_nearest(monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data")
    jobs = [SimpleNamespace(arguments=("exp", "--config", "shed_hybrid"), experiment="shed_hybrid")]
    with pytest.raises(ConfigError, match=r"mine.yaml: key `metric.name`: .* `val/abs_re`; did you mean `val/abs_rel`"):
        check_metric(SimpleNamespace(metric="val/abs_re", path=Path("mine.yaml")), jobs)
