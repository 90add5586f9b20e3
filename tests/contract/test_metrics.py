"""What every metric promises whatever it measures; what each measures is tested in tests/metrics.

The empty image, odd sizes and a prediction smaller than the truth are in all inputs.
"""

import math

import pytest
import torch
from torchmetrics import Metric

from lightning_modules import metrics
from tests.contract.metrics import METRICS, PREDICTED, arguments, make_inputs, part
from tests.helpers.metric_tester import evaluate_shard

UNEVEN = (slice(0, 1), slice(1, 4), slice(4, 6))


def measure(name, *batches):
    """The results of batches of arguments."""
    metric = METRICS[name][0]()
    for batch in batches:
        metric.update(*batch)
    return results(metric)


def results(metric):
    return {key: float(value) for key, value in metric.compute().items()}


def test_every_metric_is_here():
    exported = {name for name, value in vars(metrics).items() if isinstance(value, type) and issubclass(value, Metric)}
    assert exported == METRICS.keys()


@pytest.mark.parametrize("name", METRICS)
def test_uneven_batches_are_one_batch(name):
    whole = arguments(name, make_inputs())
    batches = [[part(argument, images) for argument in whole] for images in UNEVEN]
    expected = measure(name, whole)
    assert any(math.isfinite(value) for key, value in expected.items() if key not in ("excluded", "nonfinite"))
    assert measure(name, *batches) == pytest.approx(expected, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
def test_reset_forgets(name):
    whole = arguments(name, make_inputs())
    metric = METRICS[name][0]()
    metric.update(*[part(argument, slice(0, 4)) for argument in whole])
    metric.reset()
    metric.update(*whole)
    assert results(metric) == pytest.approx(measure(name, whole), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
def test_what_inference_mode_leaves_can_be_added_to_outside_it(name):
    """As in a training after `validate`."""
    whole = arguments(name, make_inputs())
    metric = METRICS[name][0]()
    with torch.inference_mode():
        metric.update(*whole)
        metric.compute()
        metric.reset()
    metric.update(*whole)
    assert results(metric) == pytest.approx(measure(name, whole), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
def test_results_are_scalars_and_images_have_their_own(name):
    whole = arguments(name, make_inputs())
    metric = METRICS[name][0]()
    metric.update(*whole)
    assert all(value.shape == () for value in metric.compute().values())
    assert all(values.shape == (6,) for values in metric.per_image.values())


@pytest.mark.parametrize("name", METRICS)
def test_no_truth_at_all_is_no_error(name):
    inputs = make_inputs()
    found = measure(name, arguments(name, {**inputs, "valid": torch.zeros_like(inputs["valid"])}))
    assert found.keys() == measure(name, arguments(name, inputs)).keys()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", METRICS)
def test_low_precision_is_measured_in_full(name, dtype):
    inputs = make_inputs()
    low = {key: inputs[key].to(dtype) for key in PREDICTED}
    full = {key: value.float() for key, value in low.items()}
    expected = measure(name, arguments(name, {**inputs, **full}))
    assert measure(name, arguments(name, {**inputs, **low})) == pytest.approx(expected, rel=1e-6, nan_ok=True)


@pytest.mark.ddp
@pytest.mark.parametrize("name", METRICS)
def test_two_processes_are_one(name, two_processes, tmp_path):
    whole = arguments(name, make_inputs())
    shards = [
        [[part(argument, images) for argument in whole] for images in share] for share in (UNEVEN[:2], UNEVEN[2:])
    ]
    runs = [
        two_processes.submit(evaluate_shard, rank, METRICS[name][0](), shard, tmp_path)
        for rank, shard in enumerate(shards)
    ]
    expected = measure(name, whole)
    for run in runs:
        found = {key: float(value) for key, value in run.result(timeout=120).items()}
        assert found == pytest.approx(expected, rel=1e-9, nan_ok=True)
