"""Every metric says of itself which way it is better, in which unit, and where it is shown."""

import pytest

from experiments.results.published import METRICS
from lightning_modules.evaluation import Evaluation, EvaluationOptions
from lightning_modules.metrics import SUITE, EvalProtocol, describe
from lightning_modules.metrics.metric_info import find_info, higher, lower
from tests.test_evaluation import EVERYTHING, make_batch, make_prediction

#: Published columns that are better the higher they are.
UP = {
    *(["delta1", "delta2", "delta3", "pixel_accuracy", "object_delta1"]),
    *(f"scene_recall@{k}" for k in (1, 3, 5)), "frame_recall@5",
}  # fmt: skip


@pytest.mark.parametrize("name", METRICS)
def test_published_columns_have_the_arrow_that_papers_print(name):
    assert METRICS[name].better == ("↑" if name in UP else "↓")


def test_every_metric_of_an_evaluation_is_declared_by_its_class_and_by_no_other():
    batch = make_batch()
    for group, metric in SUITE.items():
        options = EvaluationOptions(groups=(group,), unit={"unit": 10.0})
        evaluation = Evaluation(EvalProtocol("plain", 0.1, 10.0), options, EVERYTHING)
        evaluation.update(make_prediction(batch), batch)
        made = evaluation.metrics[group]
        assert {type(one) for one in evaluation.metrics.values()} == {metric}
        for key in made.compute():
            assert find_info(key, {**metric.info, **metric.counts}) == describe(metric.public_name(key)), key
        for key in made.per_image:
            assert find_info(key, metric.info) == describe(key), key


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("rmse", "m"), ("sq_rel", "m"), ("abs_rel", ""), ("mae_unit", ""), ("mae_m", "m"), ("boundary_comp", "px"),
        ("planarity_flatness", "cm"), ("wall_flatness", "m"), ("ceiling_orientation", "°"), ("region_variance", "m²"),
        ("object_roughness", "%"), ("rmse_at_2_5", "m"), ("test/ibims1/chamfer3d_recall", "m"), ("epoch", ""),
    ],
)  # fmt: skip
def test_units(name, unit):
    assert describe(name).unit == unit


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("abs_rel", False), ("abs_rel_at_2_5", True), ("rmse_border", True), ("delta1_thin", True), ("excluded", False),
        ("range_excluded", True), ("thin_nonfinite", True), ("layout_planes", True), ("object_roughness_truth", True),
        ("boundary_acc_nonempty", True), ("boundary_images", True), ("boundary_empty", False), ("boundary_acc", False),
        ("object_excluded", False),
    ],
)  # fmt: skip
def test_details(name, detail):
    assert describe(name).detail == detail


def test_counts_of_what_is_left_out():
    for name in ("excluded", "object_nonfinite", "retrieval_excluded_scene", "negative", "coverage_excluded"):
        assert describe(name).left_out, name
    for name in ("objects", "boundary_empty", "planes", "abs_rel"):
        assert not describe(name).left_out, name


def test_a_whole_name_goes_before_a_template():
    infos = {"delta{i}": higher(), "delta1_thin": lower()}
    assert find_info("delta1_thin", infos) == lower()
    assert find_info("delta12", infos) == higher()
    assert find_info("a_delta1", infos) is None


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
        ("frame_recall@5", "max"), ("chamfer3d_fscore_10cm", "max"), ("baseline_delta1", "max"),
    ],
)  # fmt: skip
def test_names(name, direction):
    assert describe(name).higher_is_better == {"max": True, "min": False, None: None}[direction]
