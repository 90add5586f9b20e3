"""The table at the end of a test: what it shows, and what it leaves to `metrics.json`."""

import io
import math
from types import SimpleNamespace

import torch
from rich.console import Console

from callbacks import RunSummary


def printed(figures: dict[str, float]) -> str:
    named = {f"test/rooms/{name}": value for name, value in figures.items()}
    stream = io.StringIO()
    Console(file=stream, width=150).print(RunSummary.table("rooms", named | {"test/other/mae": 7.0}, "a method"))
    return stream.getvalue()


def test_details_are_left_to_the_file():
    text = printed({"abs_rel": 0.1, "rmse_at_2_5": 0.5, "thin_excluded": 3.0, "object_excluded": 2.0, "rmse": 0.25})
    assert "0.1000" in text
    assert "object_excluded" in text
    assert "rmse_at_2_5" not in text
    assert "2 more metrics are in metrics.json" in text


def test_details_alone_are_shown():
    text = printed({"rmse_at_2_5": 0.5, "rmse_at_5_10": math.nan})
    assert "rmse_at_2_5" in text
    assert "nan" in text
    assert "more metrics" not in text


def test_many_frames_without_an_edge_are_remarked_on():
    figures = {
        "chamfer_pred_to_gt": 81.0, "boundary_empty": 1.0, "boundary_images": 10.0,
        "chamfer_pred_to_gt_nonempty": 1.5, "chamfer_gt_to_pred_nonempty": 2.5,
    }  # fmt: skip
    assert "no edge found in 1 of 10 frames (10%)" in printed(figures)
    assert "without them, px: chamfer_pred_to_gt 1.50" in " ".join(printed(figures).split())
    assert "no edge" not in printed(figures | {"boundary_images": 20.0})


def test_a_baseline_that_is_exact_leaves_no_gain_to_state():
    """The truth of all frames is one flat wall."""
    text = printed({"abs_rel": 0.1, "baseline_abs_rel": 0.0})
    assert "0.1000" in text
    assert "%" not in text


def test_everything_in_the_folder_is_named(tmp_path, capsys):
    for name in ("thumbnails", "panels", ".lock"):
        (tmp_path / name).mkdir()
    metrics = {"test/nyuv2/abs_rel": torch.tensor(0.125)}
    trainer = SimpleNamespace(
        is_global_zero=True, default_root_dir=str(tmp_path), logger=None, fast_dev_run=False, callback_metrics=metrics
    )
    method = SimpleNamespace(oracle="", evaluations={}, protocol_of=lambda _: SimpleNamespace(name="tiny"))
    RunSummary().on_test_end(trainer, method)
    assert f"{tmp_path.name}: metrics.json, panels, thumbnails\n" in capsys.readouterr().out
