"""Every figure has a direction, and it is the one that papers print and metrics document."""

import pytest
import torch

from experiments.results.published import METRICS
from lightning_modules.evaluation import GROUPS, EvaluationOptions
from lightning_modules.metrics import EvalProtocol
from lightning_modules.metrics.boundary import FIGURES as BOUNDARY
from lightning_modules.metrics.directions import better
from lightning_modules.metrics.edge_detection import FIGURES as EDGE
from lightning_modules.metrics.layout_flatness import FIGURES as LAYOUT
from lightning_modules.metrics.objectwise import FIGURES as OBJECT
from lightning_modules.metrics.planarity import FIGURES as PLANE
from lightning_modules.metrics.segment_quality import FIGURES as SEGMENT
from lightning_modules.metrics.segmentation_accuracy import FIGURES as SEMANTIC


@pytest.mark.parametrize("metric", [metric for metric in METRICS.values() if metric.key], ids=lambda metric: metric.key)
def test_agrees_with_the_arrows_of_the_published_tables(metric):
    assert better(f"test/nyuv2/{metric.key}") == {"↑": "max", "↓": "min"}[metric.better]


def test_every_figure_but_counts_has_a_direction():
    protocol, options = EvalProtocol("rooms", 0.1, 10.0), EvaluationOptions()
    names = [*BOUNDARY, *EDGE, *OBJECT, *PLANE, *LAYOUT[:-1], *SEMANTIC, *(f"level0_{name}" for name in SEGMENT)]
    depth = torch.rand(1, 1, 24, 32) + 1
    labels = torch.ones(1, 24, 32, dtype=torch.int64)
    for name, arguments in (
        ("depth", ()), ("depth_boundary", ()), ("cloud", (torch.eye(3)[None] * 20,)), ("range", ()),
        ("label_border", (labels,)), ("thin", (labels,)),
    ):  # fmt: skip
        metric = GROUPS[name].build(protocol, options, 40)
        metric.update(depth, depth, depth > 0, *arguments)
        names += metric.compute()
    without = {name for name in names if better(name) is None}
    assert without <= {"excluded", "nonfinite"}
    assert {"rmse", "delta3", "chamfer3d_fscore_5cm", "depth_boundary_f1"} <= set(names) - without


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("boundary_acc_nonempty", "min"), ("chamfer_gt_to_pred_nonempty", "min"), ("boundary_empty", None),
        ("boundary_images", None), ("chamfer_pred_to_gt", "min"), ("boundary_acc", "min"), ("boundary_recall", "max"),
        ("miou", "max"),
        ("level0_undersegmentation_error", "min"), ("level2_boundary_recall", "max"), ("edge_ods", "max"),
        ("train/loss_epoch", "min"), ("object_excluded", None), ("lr-Adam", None), ("epoch", None),
        ("abs_rel_at_10_up", "min"), ("delta1_interior", "max"), ("rmse_thin", "min"), ("ceiling_orientation", "min"),
        ("object_roughness", "min"), ("object_roughness_truth", None), ("layout_flatness_truth", None),
        ("region_variance", "min"), ("region_error_variance", "min"), ("coverage_excluded", None),
        ("region_share", None), ("rmse_log10", "min"),
        ("layout_recall@5", "max"), ("chamfer3d_fscore_10cm", "max"), ("baseline_delta1", "max"),
    ],
)  # fmt: skip
def test_names(name, direction):
    assert better(name) == direction
