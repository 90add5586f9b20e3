"""All metrics of a batch from depth that is prepared once, against each metric preparing it on its own; their shares.

The frame is that of `metric_speed`, with every kind of truth and prediction there is, the depth at half the truth's
size, as networks are shown frames. Everything runs in one thread,
interleaved, so that whatever else the machine does hits both alike; medians of processor time are compared. Before
that, both ways must give the same values.

    .venv/bin/python -m benchmarks.evaluation_speed             9 rounds
    .venv/bin/python -m benchmarks.evaluation_speed --quick     1 round
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import cv2
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.cost.measures import time_interleaved
from benchmarks.metric_speed import HEIGHT, PROTOCOL, WIDTH, cells, make_frame
from lightning_modules.evaluation import Batch, Evaluation, EvaluationOptions
from lightning_modules.metrics.depth_metric import DepthMetric, ReadsDepth
from lightning_modules.metrics.suite import SUITE
from lightning_modules.prediction import Prediction

OPTIONS = EvaluationOptions(unit={"unit": 10.0}, cloud={"workers": 1, "stride": 1})  # type: ignore[call-arg]

#: Rows of the table.
ONCE, APART = "prepared once", "each prepares"


def make_inputs() -> tuple[Prediction, Batch]:
    """Return prediction and batch of one frame."""
    generator = torch.Generator().manual_seed(0)
    frame = make_frame()
    classes, regions = cells(5, 8), cells(12, 16)
    batch = {
        "depth": frame.depth,
        "valid": frame.valid,
        "instances": frame.objects,
        "semantics": classes,
        "occlusion": frame.boundary,
        "regions": regions,
        "edges": frame.boundary,
        "planes": cells(2, 2),
        "plane_parameters": torch.full((1, 4, 4), torch.nan),
        "intrinsics": frame.intrinsics,
        "scene": ["a"],
        "frame": torch.tensor([0]),
    }
    prediction = Prediction(
        depth=frame.prediction[..., ::2, ::2],
        covered=torch.ones_like(frame.valid),
        semantics=torch.randn(1, 40, HEIGHT // 4, WIDTH // 4, generator=generator),
        edges=8 * frame.boundary.roll((1, 1), (2, 3)).float() - 4,
        image_classes=torch.randn(1, 40, generator=generator),
        segments=frame.segments,
        embedding=torch.randn(1, 64, generator=generator),
        uncertainty=torch.rand(1, 1, HEIGHT, WIDTH, generator=generator),
    )
    return prediction, batch


def update_apart(evaluation: Evaluation, prediction: Prediction, batch: Batch) -> None:
    """Add a batch to the metrics of an evaluation as each takes it on its own."""
    maps = prediction.depth, batch["depth"], batch["valid"]
    evaluation.scale_check.update(*maps)
    for group, metric in evaluation.metrics.items():
        truth = [batch[key] for key in SUITE[group].needs]
        beside = [getattr(prediction, name) for name in metric.also_reads]
        if any(field is None for field in beside):
            continue
        if isinstance(metric, DepthMetric):
            metric.update(*maps, *beside, *truth)
        elif group == "boundary":
            metric.update(evaluation.protocol.prepare(*maps).prediction, *truth)
        else:
            metric.update(getattr(prediction, metric.reads), *truth)


def shares(prediction: Prediction, batch: Batch, rounds: int) -> dict[str, float]:
    """Return the median processor time of each group's own update, from depth that is prepared, in milliseconds."""
    evaluation = Evaluation(PROTOCOL, OPTIONS, frozenset(batch))
    maps = prediction.depth, batch["depth"], batch["valid"]
    prepared = {metric.protocol: metric.protocol.prepare(*maps) for metric in depth_metrics(evaluation)}
    runs: dict[str, Callable[[], object]] = {
        "preparation": lambda: PROTOCOL.prepare(*maps),
        "check of the scale": lambda: evaluation.scale_check.update(*maps),
    }
    for group, metric in evaluation.metrics.items():
        truth = [batch[key] for key in SUITE[group].needs]
        beside = [getattr(prediction, name) for name in metric.also_reads]
        if any(field is None for field in beside):
            continue
        if isinstance(metric, ReadsDepth):
            own = metric.protocol if isinstance(metric, DepthMetric) else PROTOCOL
            runs[group] = partial(metric.update_prepared, prepared[own], *beside, *truth)
        else:
            predicted = getattr(prediction, metric.reads)
            runs[group] = partial(metric.update, predicted, *truth)
    times = time_interleaved(runs, rounds)
    return {name: 1e3 * statistics.median(round_.processor for round_ in own) for name, own in times.items()}


def depth_metrics(evaluation: Evaluation) -> list[DepthMetric]:
    """Return the metrics of an evaluation that compare depth under a protocol."""
    return [metric for metric in evaluation.metrics.values() if isinstance(metric, DepthMetric)]


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1 round")
    rounds = 1 if parser.parse_args().quick else 9

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    prediction, batch = make_inputs()
    once, apart = (Evaluation(PROTOCOL, OPTIONS, frozenset(batch)) for _ in range(2))
    times = time_interleaved(
        {
            ONCE: lambda: once.update(prediction, batch),
            APART: lambda: update_apart(apart, prediction, batch),
        },
        rounds,
    )
    first, second = once.compute(), apart.compute()
    different = [name for name in second if not torch.equal(first[name].nan_to_num(), second[name].nan_to_num())]
    if first.keys() != second.keys() or different:
        raise SystemExit(f"evaluation_speed: the two ways differ in {', '.join(different) or 'their metrics'}")
    ms = {name: 1e3 * statistics.median(round_.processor for round_ in own) for name, own in times.items()}
    table = Table("", "ms", title=f"{len(once.metrics)} groups on one {HEIGHT}x{WIDTH} frame, one thread")
    for name, median in ms.items():
        table.add_row(name, f"{median:.0f}")
    table.caption = f"{1 - ms[ONCE] / ms[APART]:.0%} less time"
    Console(width=100).print(table)

    parts = shares(prediction, batch, rounds)
    table = Table("", "ms", "share", title="each group's own part, on one thread; 3-D distances of all pixels")
    for name, median in sorted(parts.items(), key=lambda part: -part[1]):
        table.add_row(name, f"{median:.1f}", f"{median / sum(parts.values()):.1%}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
