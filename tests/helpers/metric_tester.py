"""One examination for every metric of the suite: inherit, say what to examine, and all questions are asked."""

import pickle
from concurrent.futures import Executor
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
    averages_images = False  # whether every figure is the mean of the figures of the images

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
        self.check_processes(two_processes, tmp_path, [[2, len(self.inputs()[0]) - 3], [1]])

    @pytest.mark.ddp
    @pytest.mark.parametrize("idle", [0, 1])
    def test_a_process_without_data_leaves_the_figures_to_the_other(self, idle, tmp_path, two_processes):
        sizes = [[2, len(self.inputs()[0]) - 2], []]
        self.check_processes(two_processes, tmp_path, sizes if idle == 1 else sizes[::-1])

    def check_processes(self, pool: Executor, folder: Path, sizes: list[list[int]]) -> None:
        """All images, dealt to two processes in batches of the given sizes, have the figures of the reference."""
        inputs = self.inputs()
        dealt = [size for process in sizes for size in process]
        batches = zip(*(part.split(dealt) for part in inputs), strict=True)
        shards = [[next(batches) for _ in process] for process in sizes]
        runs = [pool.submit(evaluate_shard, rank, self.make(), shard, folder) for rank, shard in enumerate(shards)]
        for run in runs:
            self.check(run.result(), self.reference(*inputs))

    def test_figures_of_an_image_do_not_depend_on_its_batch(self):
        inputs = self.inputs()
        batch, alone = self.make(), self.make()
        batch.update(*inputs)
        assert batch.per_image
        for image, single in enumerate(zip(*(part.split(1) for part in inputs), strict=True)):
            alone.update(*single)
            expected = {name: float(figures[image]) for name, figures in batch.per_image.items()}
            actual = {name: float(figures) for name, figures in alone.per_image.items()}
            assert actual == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)

    def test_means_over_images_are_those_of_their_figures(self):
        if not self.averages_images:
            pytest.skip("averages over something else than images")
        metric = self.make()
        metric.update(*self.inputs())
        figures = metric.compute()
        assert metric.per_image
        for name, of_images in metric.per_image.items():
            assert float(of_images.nanmean()) == pytest.approx(float(figures[name]), rel=1e-9, abs=1e-12)

    def test_images_of_two_sizes_in_one_set(self):
        whole, cropped = self.two_sizes()
        both = self.make()
        weights, expected = {}, []
        for batch in (whole, cropped):
            alone = self.make()
            for metric in (alone, both):
                metric.update(*batch)
            expected.append(self.reference(*batch))
            self.check(alone.compute(), expected[-1])
            for name, figures in alone.per_image.items():
                weights.setdefault(name, []).append(int((~figures.isnan()).sum()))
        figures = both.compute()
        if self.averages_images:
            first, second = expected
            means = {name: (a * first[name] + b * second[name]) / (a + b) for name, (a, b) in weights.items()}
            self.check(figures, {name: first[name] + second[name] for name in first} | means)
        reverse = self.make()
        for batch in (cropped, whole):
            reverse.update(*batch)
        self.check(reverse.compute(), {name: float(figure) for name, figure in figures.items()})

    def two_sizes(self) -> tuple[Inputs, Inputs]:
        """The first half of the images, and the second without its last rows and columns."""
        inputs = self.inputs()
        half, size = len(inputs[0]) // 2, inputs[0].shape[-2:]
        cropped = (part[half:, ..., :-2, :-3] if part.shape[-2:] == size else part[half:] for part in inputs)
        return tuple(part[:half] for part in inputs), tuple(cropped)

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


def evaluate_shard(rank: int, metric: Metric, batches: list[Inputs], folder: Path) -> dict[str, Tensor]:
    """The figures of all images, computed in one of two processes that saw the given batches of them."""
    torch.set_num_threads(1)
    metric.reset()  # tensors handed to a spawned process are shared memory: take own states before adding in place
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    try:
        for batch in batches:
            metric.update(*batch)
        return metric.compute()
    finally:
        dist.destroy_process_group()
