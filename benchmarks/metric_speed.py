"""The metrics against the plain way to compute them, and against a forward of SHED: times as ratios of one run.

The frame is 480x640, with 600 objects, each a tilted plane at a depth of its own; the prediction has smooth errors and
edges two pixels off. Everything runs in one thread, interleaved, so that whatever else the machine does hits all of it;
medians are compared. Before that, both ways must give the same metrics.

A second table has the point cloud against SciPy's k-d tree, for good and poor predictions, and the depth errors against
the `Evaluator` of the package depth-estimation, where that can be imported (it is no dependency), by processor time.

    .venv/bin/python -m benchmarks.metric_speed             5 rounds
    .venv/bin/python -m benchmarks.metric_speed --quick     1 round
"""

import argparse
import importlib
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import cv2
import scipy
import torch
from rich.console import Console
from rich.table import Table
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional as F

from benchmarks.cost.measures import time_interleaved
from lightning_modules import SHED
from lightning_modules.metrics import (
    BoundaryError,
    BoundaryProtocol,
    DepthBoundaryF1,
    DepthErrors,
    EvalProtocol,
    ObjectwiseErrors,
    PointCloudChamfer,
    SegmentQuality,
)
from lightning_modules.metrics.boundary import depth_edges
from lightning_modules.metrics.exact_sums import SuiteMetric
from lightning_modules.metrics.nearest_points import nearest_distances
from lightning_modules.metrics.point_cloud import pixel_rays

HEIGHT, WIDTH = 480, 640

#: Rows and columns between pixels of the clouds that SciPy searches: all would take it minutes.
COARSE = 2

#: Rows and columns of cells: the objects, and the levels of a segment hierarchy as SHED has them.
OBJECTS = (20, 30)
LEVELS = ((30, 40), (16, 16), (8, 16), (8, 8))

#: Rows of a matrix of distances that are in memory at a time.
CHUNK = 64

#: Point clouds are too large for all pairs: so many chunks are timed, spread over the cloud.
TIMED_CHUNKS = 8

#: Rows of the table.
BOUNDARIES, OBJECT_WISE, CLOUD = "boundary errors, with Canny", "object-wise errors", "point cloud, stride 1"
WHOLE_SET, FORWARD = "all of the above", "forward of SHED-hybrid"

#: What the suite is compared with, and how many times as fast it should be.
PLAIN_WAYS = {
    BOUNDARIES: ("cdist of all edge pixels", ">= 30"),
    OBJECT_WISE: ("a mask per object", ">= 25"),
    CLOUD: ("cdist of all points", ">= 200"),
}

PROTOCOL = EvalProtocol("speed only", min_depth=1e-3, max_depth=10.0)
BOUNDARY = BoundaryProtocol(crop="none")

Values = dict[str, float]


@dataclass(frozen=True)
class Frame:
    """A batch of one, as the metrics take it."""

    prediction: Tensor
    depth: Tensor
    valid: Tensor
    objects: Tensor
    boundary: Tensor
    intrinsics: Tensor
    segments: list[Tensor]

    @property
    def maps(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return prediction, true depth and valid mask, each (1, 1, H, W): what every metric takes first."""
        return self.prediction, self.depth, self.valid


def cells(rows: int, columns: int) -> Tensor:
    """Return (1, H, W) int64 labels of a grid of cells."""
    row, column = torch.arange(HEIGHT) * rows // HEIGHT, torch.arange(WIDTH) * columns // WIDTH
    return (row[:, None] * columns + column)[None]


def make_frame() -> Frame:
    """Return the frame that the module docstring describes."""
    generator = torch.Generator().manual_seed(0)
    objects = cells(*OBJECTS)
    near, *slopes = torch.rand(3, math.prod(OBJECTS), generator=generator)
    across, down = (0.01 * (slope - 0.5) for slope in slopes)
    depth = 1.5 + 6 * near[objects] + across[objects] * (torch.arange(WIDTH) % 20) + down[objects]
    smooth = F.interpolate(torch.randn(1, 1, 15, 20, generator=generator), (HEIGHT, WIDTH), mode="bilinear")
    prediction = depth[:, None].roll((2, 2), (2, 3)) * (1 + 0.03 * smooth)
    boundary = torch.zeros_like(objects, dtype=torch.bool)
    boundary[:, :-1] |= objects.diff(dim=1) != 0
    boundary[:, :, :-1] |= objects.diff(dim=2) != 0
    return Frame(
        prediction,
        depth[:, None],
        torch.ones_like(boundary[:, None]),
        objects + 1,
        boundary[:, None],
        torch.tensor([[[520.0, 0.0, 320.0], [0.0, 520.0, 240.0], [0.0, 0.0, 1.0]]]),
        [cells(*grid) for grid in LEVELS],
    )


def edge_pixels(frame: Frame) -> tuple[Tensor, Tensor]:
    """Return (N, 2) Canny edges of the prediction, and (M, 2) pixels on a boundary of the truth."""
    depth = frame.prediction[0, 0].double().numpy()
    edges = torch.from_numpy(depth_edges(depth, frame.valid[0, 0].numpy(), BOUNDARY))
    return edges.nonzero().double(), frame.boundary[0, 0].nonzero().double()


def pairwise_boundary_error(frame: Frame) -> Values:
    """Return Chamfer distances of Canny edges from all pairs of edge pixels."""
    to_truth, to_edges = nearest_of_all_pairs(*edge_pixels(frame))
    return {"chamfer_pred_to_gt": float(to_truth.mean()), "chamfer_gt_to_pred": float(to_edges.mean())}


def nearest_of_all_pairs(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return distances of each point to the nearest of the other set, (N,) and (M,), from one pass over all pairs."""
    to_second, to_first = [], torch.full((len(second),), torch.inf, dtype=first.dtype)
    for points in first.split(CHUNK):
        distances = torch.cdist(points, second)
        to_second.append(distances.amin(1))
        to_first = torch.minimum(to_first, distances.amin(0))
    return torch.cat(to_second), to_first


def looped_object_errors(frame: Frame) -> Values:
    """Return the object-wise metrics, from one mask per object."""
    prediction, depth, valid = (part[0, 0] for part in PROTOCOL.prepare(*frame.maps))
    log_error = (prediction / depth).log()
    errors = []
    for number in frame.objects.unique():
        mask = (frame.objects[0] == number) & valid
        p, d = prediction[mask], depth[mask]
        across = log_error.diff(dim=1)[mask[:, 1:] & mask[:, :-1]]
        down = log_error.diff(dim=0)[mask[1:] & mask[:-1]]
        errors.append(
            torch.stack(
                [
                    (torch.maximum(p / d, d / p) < 1.25).double().mean(),
                    ((p - d).abs() / d).mean(),
                    (p - d).square().mean().sqrt(),
                    log_error[mask].abs().mean() / math.log(10),
                    torch.cat([across, down]).abs().mean(),
                ]
            )
        )
    names = ("object_delta1", "object_abs_rel", "object_rmse", "object_log10", "object_gradient")
    return dict(zip(names, torch.stack(errors).mean(0).tolist(), strict=True))


def clouds(frame: Frame, stride: int = 1) -> tuple[Tensor, Tensor]:
    """Return predicted and true points, each (N, 3) metres."""
    prediction, depth, valid = (part[0, 0] for part in PROTOCOL.prepare(*frame.maps))
    rows, columns = (valid[::stride, ::stride].nonzero() * stride).unbind(1)
    rays = pixel_rays(columns, rows, frame.intrinsics[0].double())
    return prediction[rows, columns, None] * rays, depth[rows, columns, None] * rays


def pairwise_cloud_distances(frame: Frame, stride: int) -> Values:
    """Return Chamfer distances of the point clouds from all pairs of points."""
    to_truth, to_prediction = nearest_of_all_pairs(*clouds(frame, stride))
    return {"chamfer3d_precision": float(to_truth.mean()), "chamfer3d_recall": float(to_prediction.mean())}


def poor_predictions(frame: Frame) -> dict[str, Tensor]:
    """Return predictions (1, 1, H, W) of a frame, the good ones first."""
    generator = torch.Generator().manual_seed(1)
    small = F.interpolate(frame.depth, (8, 10), mode="area")
    return {
        "2 px and 3 % off": frame.prediction,
        "5 % of noise": frame.depth * (1 + 0.05 * torch.randn(frame.depth.shape, generator=generator)),
        "blurred": F.interpolate(small, (HEIGHT, WIDTH), mode="bicubic").clamp(0.5, 9.5),
        "a plane": torch.full_like(frame.depth, 3.0),
        "1.3 times": 1.3 * frame.depth,
        "half": 0.5 * frame.depth,
    }


def kd_tree_distances(first: Tensor, second: Tensor) -> Values:
    """Return Chamfer distances by SciPy's tree, with the settings that are fastest for depth maps."""
    (to_second, _), (to_first, _) = (
        cKDTree(cloud, 32, compact_nodes=False, balanced_tree=False).query(points)
        for points, cloud in ((first, second), (second, first))
    )
    return {"chamfer3d_precision": float(to_second.mean()), "chamfer3d_recall": float(to_first.mean())}


def compare_with_others(frame: Frame, rounds: int) -> Table:
    """Return the table of the point cloud against SciPy, and of the depth errors against the peer.

    Raises:
        SystemExit: if the two give other distances.
    """
    table = Table("", "this, ms", "other, ms", "other / this", title="processor time, one thread")
    for name, prediction in poor_predictions(frame).items():
        tried = replace(frame, prediction=prediction)
        metric = PointCloudChamfer(PROTOCOL, stride=COARSE, workers=1)
        both = clouds(tried, COARSE)
        check_agreement(name, metric, (*tried.maps, tried.intrinsics), kd_tree_distances(*both), tolerance=1e-9)
        ours = partial(nearest_distances, *(cloud.numpy() for cloud in both), 1)
        add_row(table, f"3-D distances, {name}", ours, partial(kd_tree_distances, *both), rounds)
    try:
        peer = importlib.import_module("depth_estimation.evaluation.metrics").Evaluator()
    except ImportError:
        return table
    errors = DepthErrors(PROTOCOL)
    add_row(
        table, "depth errors", partial(errors.update, *frame.maps), partial(peer.update, *frame.maps), max(rounds, 15)
    )
    return table


def add_row(table: Table, name: str, ours: Callable[[], object], other: Callable[[], object], rounds: int) -> None:
    """Add the medians of two ways, timed in turns."""
    times = time_interleaved({"this": ours, "other": other}, rounds)
    this, that = (1e3 * statistics.median(round_.processor for round_ in own) for own in times.values())
    table.add_row(name, f"{this:.1f}", f"{that:.1f}", f"{that / this:.2f}")


def check_agreement(
    name: str, metric: SuiteMetric, inputs: tuple[object, ...], expected: Values, tolerance: float = 1e-6
) -> None:
    """Stop if one of the expected metrics of a batch is off by more than a share of it."""
    metric.update(*inputs)
    values = metric.compute()
    for key, value in expected.items():
        if not math.isclose(values[key], value, rel_tol=tolerance):
            raise SystemExit(f"metric_speed: {key} is {float(values[key])!r} in {name}, {value!r} the plain way")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1 round")
    rounds = 1 if parser.parse_args().quick else 5

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    frame = make_frame()
    metrics: dict[str, tuple[SuiteMetric, tuple[object, ...]]] = {
        "depth errors": (DepthErrors(PROTOCOL), frame.maps),
        "depth-ratio boundary F1": (DepthBoundaryF1(PROTOCOL), frame.maps),
        BOUNDARIES: (BoundaryError(BOUNDARY), (frame.prediction, frame.boundary)),
        OBJECT_WISE: (ObjectwiseErrors(PROTOCOL), (*frame.maps, frame.objects)),
        "point cloud, stride 4": (PointCloudChamfer(PROTOCOL, stride=4, workers=1), (*frame.maps, frame.intrinsics)),
        "segment quality, 4 levels": (SegmentQuality(), (frame.segments, frame.objects, *frame.maps[1:])),
        CLOUD: (PointCloudChamfer(PROTOCOL, workers=1), (*frame.maps, frame.intrinsics)),
    }
    check_agreement(BOUNDARIES, *metrics[BOUNDARIES], pairwise_boundary_error(frame))
    check_agreement(OBJECT_WISE, *metrics[OBJECT_WISE], looped_object_errors(frame))
    coarse = PointCloudChamfer(PROTOCOL, stride=8)  # all pairs of all points would take minutes
    check_agreement(CLOUD, coarse, metrics[CLOUD][1], pairwise_cloud_distances(frame, stride=8))

    predicted, true = clouds(frame)
    chunks = predicted.split(CHUNK)
    timed = torch.cat(chunks[:: len(chunks) // TIMED_CHUNKS][:TIMED_CHUNKS])
    model = SHED(pretrained=False, protocol=PROTOCOL).eval()
    batch = {"image": torch.randn(1, 3, HEIGHT, WIDTH), "superpixels": frame.segments[0]}
    plain: dict[str, Callable[[], object]] = {
        BOUNDARIES: partial(pairwise_boundary_error, frame),
        OBJECT_WISE: partial(looped_object_errors, frame),
        CLOUD: partial(nearest_of_all_pairs, timed, true),
    }
    times = time_interleaved(
        {name: partial(metric.update, *inputs) for name, (metric, inputs) in metrics.items()}
        | {f"plain {name}": run for name, run in plain.items()}
        | {FORWARD: partial(model, batch)},
        rounds,
    )
    ms = {name: 1e3 * statistics.median(round_.wall for round_ in own) for name, own in times.items()}
    ms[f"plain {CLOUD}"] *= len(chunks) / TIMED_CHUNKS
    ms[WHOLE_SET] = sum(ms[name] for name in metrics if name != CLOUD)

    place = f"one thread, torch {torch.__version__}, OpenCV {cv2.__version__}, SciPy {scipy.__version__}"
    table = Table(
        "", "ms", "plain way", "plain, ms", "plain / this", "/ forward", title=f"one {HEIGHT}x{WIDTH} frame; {place}"
    )
    for name in (*list(metrics)[:-1], WHOLE_SET, CLOUD, FORWARD):
        way, target = PLAIN_WAYS.get(name, ("", ""))
        other = ms.get(f"plain {name}")
        table.add_row(
            name,
            f"{ms[name]:.1f}",
            way,
            f"{other:.0f}" if other else "",
            f"{other / ms[name]:.0f} ({target})" if other else "",
            f"{ms[name] / ms[FORWARD]:.3f}" + (" (< 0.1)" if name == WHOLE_SET else ""),
        )
    edge_counts = " x ".join(str(len(pixels)) for pixels in edge_pixels(frame))
    table.caption = (
        f"{edge_counts} edge pixels; {math.prod(OBJECTS)} objects; {len(true)} points, all pairs of which are "
        f"extrapolated from {TIMED_CHUNKS} of {len(chunks)} chunks. One float64 matrix serves both directions."
    )
    Console(width=120).print(table)
    Console(width=120).print(compare_with_others(frame, rounds))


if __name__ == "__main__":
    main()
