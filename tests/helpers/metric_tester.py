"""One examination for every metric of the suite: inherit, say what to examine, and all questions are asked."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch import distributed as dist
from torchmetrics import Metric

Inputs = tuple[Tensor, ...]  # prediction, target, valid and whatever else `update` takes, each stacked over images


class MetricTester:
    """Subclass it as `Test…` and define `make`, `inputs` and `reference`.

    `inputs` should hold at least 6 images, among them one without a valid pixel and no non-finite prediction;
    `reference` recomputes all figures in float64 without the code under test.
    """

    tolerance = 1e-12
    counts = ("excluded", "nonfinite")

    def make(self) -> Metric:
        raise NotImplementedError

    def inputs(self) -> Inputs:
        raise NotImplementedError

    def reference(self, *inputs: Tensor) -> dict[str, float]:
        raise NotImplementedError

    def check(self, figures: dict[str, Tensor], expected: dict[str, float]) -> None:
        assert figures.keys() == expected.keys()
        assert all(figure.shape == () for figure in figures.values())
        actual = {name: float(figure) for name, figure in figures.items()}
        assert actual == pytest.approx(expected, rel=self.tolerance, abs=self.tolerance, nan_ok=True)

    def test_one_batch_agrees_with_the_reference(self):
        inputs = self.inputs()
        metric = self.make()
        metric.update(*inputs)
        self.check(metric.compute(), self.reference(*inputs))

    def test_uneven_batches_agree_with_the_reference(self):
        inputs = self.inputs()
        metric = self.make()
        images = len(inputs[0])
        for batch in zip(*(part.split([1, 3, images - 4]) for part in inputs), strict=True):
            metric.update(*batch)
        self.check(metric.compute(), self.reference(*inputs))

    @pytest.mark.ddp
    def test_two_processes_with_uneven_shards_agree_with_the_reference(self, tmp_path, two_processes):
        inputs = self.inputs()
        shards = [two_processes.submit(_evaluate_shard, rank, self.make(), inputs, tmp_path) for rank in range(2)]
        for shard in shards:
            self.check(shard.result(), self.reference(*inputs))

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_low_precision_predictions_are_evaluated_in_full(self, dtype):
        prediction, *truth = self.inputs()
        metric = self.make()
        metric.update(prediction.to(dtype), *truth)
        self.check(metric.compute(), self.reference(prediction.to(dtype).double(), *truth))

    @pytest.mark.parametrize("cast", [lambda metric: metric.half(), lambda metric: metric.to(torch.bfloat16)])
    def test_a_model_in_low_precision_leaves_the_sums_alone(self, cast):
        inputs = self.inputs()
        metric = cast(self.make())
        metric.update(*inputs)
        self.check(metric.compute(), self.reference(*inputs))

    def test_pickling_keeps_what_was_added(self):
        inputs = self.inputs()
        metric = self.make()
        metric.update(*(part[:2] for part in inputs))
        copy = pickle.loads(pickle.dumps(metric))
        copy.update(*(part[2:] for part in inputs))
        self.check(copy.compute(), self.reference(*inputs))

    def test_reset_forgets(self):
        inputs = self.inputs()
        metric = self.make()
        metric.update(*(part[:2] for part in inputs))
        metric.reset()
        metric.update(*inputs)
        self.check(metric.compute(), self.reference(*inputs))

    def test_without_a_valid_pixel_there_is_no_figure(self):
        prediction, target, valid, *rest = self.inputs()
        metric = self.make()
        metric.update(prediction, target, torch.zeros_like(valid), *rest)
        figures = metric.compute()
        assert figures["excluded"] == len(prediction)
        assert all(figure.isnan() for name, figure in figures.items() if name not in self.counts)

    @pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
    def test_one_nonfinite_prediction_is_counted_and_spoils_every_figure(self, value):
        prediction, target, valid, *rest = self.inputs()
        prediction = prediction.clone()
        prediction.view(-1)[valid.flatten().nonzero()[0]] = value
        metric = self.make()
        metric.update(prediction, target, valid, *rest)
        figures = metric.compute()
        assert figures["nonfinite"] == 1
        assert all(figure.isnan() for name, figure in figures.items() if name not in self.counts)

    def test_a_nonfinite_prediction_off_the_truth_is_ignored(self):
        prediction, target, valid, *rest = self.inputs()
        metric = self.make()
        metric.update(prediction.where(valid, torch.nan), target, valid, *rest)
        self.check(metric.compute(), self.reference(prediction, target, valid, *rest))


def _evaluate_shard(rank: int, metric: Metric, inputs: Inputs, folder: Path) -> dict[str, Tensor]:
    """The figures of all images, of which rank 0 saw all but one, in two batches, and rank 1 the last one."""
    torch.set_num_threads(1)
    metric.reset()  # tensors handed to a spawned process are shared memory: take own states before adding in place
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    sizes = [2, len(inputs[0]) - 3, 1]
    batches = list(zip(*(part.split(sizes) for part in inputs), strict=True))
    for batch in batches[:2] if rank == 0 else batches[2:]:
        metric.update(*batch)
    figures = metric.compute()
    dist.destroy_process_group()
    return figures
