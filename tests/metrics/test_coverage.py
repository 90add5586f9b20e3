"""Coverage against counts by NumPy."""

import pytest
import torch

from lightning_modules.metrics import Coverage
from tests.helpers.metric_tester import evaluate_shard

generator = torch.Generator().manual_seed(0)
COVERED, VALID = (torch.rand((7, 1, 5, 6), generator=generator) < share for share in (0.8, 0.6))
VALID[2] = False
MISSED, SEEN = (VALID.numpy() & ~COVERED.numpy()).sum((1, 2, 3)), VALID.numpy().sum((1, 2, 3))


def check(figures):
    assert figures["excluded"] == MISSED.sum() > 0
    assert figures["pixels_covered"].item() == pytest.approx(1 - MISSED.sum() / SEEN.sum(), rel=1e-12)


@pytest.mark.parametrize("sizes", [[7], [1, 4, 2]])
def test_batches(sizes):
    metric = Coverage()
    shares = []
    for covered, valid in zip(COVERED.split(sizes), VALID.split(sizes), strict=True):
        metric.update(covered, valid)
        shares += metric.per_image["pixels_covered"].tolist()
    check(metric.compute())
    expected = [1 - missed / seen if seen else float("nan") for missed, seen in zip(MISSED, SEEN, strict=True)]
    assert shares == pytest.approx(expected, nan_ok=True)


@pytest.mark.ddp
def test_two_processes(tmp_path, two_processes):
    shards = [[(COVERED[:5], VALID[:5])], [(COVERED[5:], VALID[5:])]]
    for run in [
        two_processes.submit(evaluate_shard, rank, Coverage(), shard, tmp_path) for rank, shard in enumerate(shards)
    ]:
        check(run.result())


def test_of_no_pixel_there_is_no_share():
    metric = Coverage()
    metric.update(COVERED[2:3], VALID[2:3])
    assert metric.compute()["pixels_covered"].isnan()
    assert metric.compute()["excluded"] == 0
