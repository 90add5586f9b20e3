"""Depth errors against worked examples and a plain double loop in float64."""

import math
from dataclasses import replace

import pytest
import torch

from lightning_modules.metrics import DepthErrors, EvalProtocol, depth_errors, per_image_depth_errors
from tests.helpers.metric_tester import MetricTester, evaluate_shard

PER_IMAGE = EvalProtocol("test", min_depth=0.1, max_depth=8.0)
POOLED = EvalProtocol("test", min_depth=0.1, max_depth=8.0, averaging="pooled")
AS_PRINTED = replace(POOLED, relative_to="prediction", clip_truth=True, clamp="below")  # Semantic-MD, section 4.1
RELEASED = replace(POOLED, averaging="batches", images_per_batch=3, delta_over="all")
FIGURES = ("delta1", "delta2", "delta3", "abs_rel", "sq_rel", "mae", "rmse", "rmse_log", "log10", "silog", "rmse_log10")


def loop_figures(pairs: list[tuple[float, float]], relative_to: str = "truth") -> dict[str, float]:
    """The definitions of the protocol page, pixel by pixel."""
    references = [d if relative_to == "truth" else p for p, d in pairs]
    n = len(pairs)
    ratios = [max(p / d, d / p) for p, d in pairs]
    logs = [math.log(p / d) for p, d in pairs]
    mean_log = sum(logs) / n
    return {
        **{f"delta{i}": sum(ratio < 1.25**i for ratio in ratios) / n for i in (1, 2, 3)},
        "abs_rel": sum(abs(p - d) / by for (p, d), by in zip(pairs, references, strict=True)) / n,
        "sq_rel": sum((p - d) ** 2 / by for (p, d), by in zip(pairs, references, strict=True)) / n,
        "mae": sum(abs(p - d) for p, d in pairs) / n,
        "rmse": math.sqrt(sum((p - d) ** 2 for p, d in pairs) / n),
        "rmse_log": math.sqrt(sum(g * g for g in logs) / n),
        "log10": sum(abs(math.log10(p) - math.log10(d)) for p, d in pairs) / n,
        "silog": 100 * math.sqrt(sum((g - mean_log) ** 2 for g in logs) / n),
        "rmse_log10": math.sqrt(sum(math.log10(p / d) ** 2 for p, d in pairs) / n),
    }


def loop_reference(protocol, prediction, target, valid):
    """Clamp, range and averaging of a protocol without crop, alignment and resize, image by image."""
    images = []
    for p_map, d_map, v_map in zip(prediction.double(), target.double(), valid, strict=True):
        pixels = zip(p_map.flatten().tolist(), d_map.flatten().tolist(), v_map.flatten().tolist(), strict=True)
        low, high = protocol.min_depth, protocol.max_depth
        top = math.inf if protocol.clamp == "below" else high
        if protocol.clip_truth:
            pixels = [(p, min(d, high), v) for p, d, v in pixels]
        limit = math.inf if protocol.clip_truth else high
        images.append([(min(max(p, low), top), d) for p, d, v in pixels if v and low < d < limit])
    seen = [pairs for pairs in images if pairs]
    counts = {"excluded": len(images) - len(seen), "nonfinite": 0}
    if protocol.averaging == "pooled":
        return loop_figures([pair for pairs in seen for pair in pairs], protocol.relative_to) | counts
    figures = [loop_figures(pairs, protocol.relative_to) for pairs in seen]
    return {name: sum(image[name] for image in figures) / len(seen) for name in FIGURES} | counts


class TestPerImage(MetricTester):
    protocol = PER_IMAGE
    averages_images = True

    def make(self):
        return DepthErrors(self.protocol)

    def inputs(self):
        generator = torch.Generator().manual_seed(0)
        target = 9 * torch.rand(7, 1, 9, 11, generator=generator)  # some beyond the range on either side
        prediction = target * (0.4 * torch.randn(target.shape, generator=generator)).exp()
        # Images differ much in their number of valid pixels, so that the two averagings differ.
        valid = torch.rand(target.shape, generator=generator) < torch.linspace(0.05, 1, 7).view(-1, 1, 1, 1)
        valid[4] = False
        prediction[1, 0, 0] = -1.0  # clamped
        return prediction, target.where(valid, 0.0), valid

    def reference(self, *inputs):
        return loop_reference(self.protocol, *inputs)


class TestPooled(TestPerImage):
    protocol = POOLED
    averages_images = False


class TestAsSemanticMDPrintsIt(TestPooled):
    protocol = AS_PRINTED


def maps(*images: list[float]) -> torch.Tensor:
    """(B, 1, 1, W) maps from one row of pixels per image."""
    return torch.tensor(images).view(len(images), 1, 1, -1)


def evaluate(protocol, prediction, target, valid=None):
    metric = DepthErrors(protocol)
    metric.update(prediction, target, torch.ones_like(target, dtype=torch.bool) if valid is None else valid)
    return {name: float(figure) for name, figure in metric.compute().items()}


def test_worked_example():
    figures = evaluate(PER_IMAGE, maps([2.0, 2.0]), maps([1.0, 4.0]))
    log2 = math.log(2)
    assert figures == pytest.approx(
        {
            **{"delta1": 0, "delta2": 0, "delta3": 0, "abs_rel": (1 + 0.5) / 2, "sq_rel": (1 + 1) / 2},
            **{"mae": 1.5, "rmse": math.sqrt(2.5), "rmse_log": log2, "log10": math.log10(2), "silog": 100 * log2},
            "rmse_log10": math.log10(2),
            **{"excluded": 0, "nonfinite": 0},
        }
    )


def test_delta_is_strict():
    # 1.25, 1.5625 and 1.953125 are exact in float32: a ratio at the threshold is a miss.
    figures = evaluate(PER_IMAGE, maps([1.25, 1.5625, 1.953125, 1.0]), maps([1.0, 1.0, 1.0, 1.0]))
    assert [figures[f"delta{i}"] for i in (1, 2, 3)] == [0.25, 0.5, 0.75]


def test_delta_takes_other_thresholds():
    metric = DepthErrors(PER_IMAGE, thresholds=(1.05,))
    metric.update(maps([1.04, 1.06]), maps([1.0, 1.0]), torch.ones(1, 1, 1, 2, dtype=torch.bool))
    figures = metric.compute()
    assert figures["delta1"] == 0.5
    assert "delta2" not in figures


def test_per_image_and_pooled_average_differently():
    # Image 1: one pixel, error 1. Image 2: three pixels, error 0.
    prediction, target = maps([2.0, 5.0, 5.0], [3.0, 3.0, 3.0]), maps([1.0, 0.0, 0.0], [3.0, 3.0, 3.0])
    per_image, pooled = evaluate(PER_IMAGE, prediction, target), evaluate(POOLED, prediction, target)
    assert (per_image["mae"], pooled["mae"]) == (0.5, 0.25)
    assert (per_image["rmse"], pooled["rmse"]) == (0.5, 0.5)  # mean of roots (1 + 0) / 2, root of mean sqrt(1/4)
    assert (per_image["delta1"], pooled["delta1"]) == (0.5, 0.75)
    assert per_image["silog"] == 0
    assert pooled["silog"] == pytest.approx(100 * math.log(2) * math.sqrt(1 / 4 - 1 / 16))


def test_relative_errors_may_be_of_the_prediction():
    figures = evaluate(AS_PRINTED, maps([2.0, 2.0]), maps([1.0, 4.0]))
    assert figures["abs_rel"] == pytest.approx((1 / 2 + 2 / 2) / 2)
    assert evaluate(POOLED, maps([2.0, 2.0]), maps([1.0, 4.0]))["abs_rel"] == pytest.approx((1 / 1 + 2 / 4) / 2)
    assert figures["rmse"] == pytest.approx(math.sqrt(2.5))


def test_a_clamp_from_below_leaves_what_is_beyond_the_range():
    figures = evaluate(AS_PRINTED, maps([-3.0, 20.0, 8.0]), maps([0.2, 4.0, 99.0]))  # 99 m count as 8 m
    assert figures["mae"] == pytest.approx((0.1 + 16 + 0) / 3)


def released_example():
    """Five images of two pixels each, errors of a metre in the second batch of three only."""
    target = maps([2.0, 2.0], [2.0, 2.0], [2.0, 0.0], [1.0, 1.0], [1.0, 0.0])
    prediction = target + maps([0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 5.0])
    return prediction, target, target > 0


def check_released(figures):
    assert figures["mae"] == pytest.approx((0 / 5 + 2 / 3) / 2)  # pooled it is 2 / 8
    assert figures["rmse"] == pytest.approx(math.sqrt(2 / 3) / 2)
    assert figures["delta1"] == pytest.approx((5 / 6 + 1 / 4) / 2)  # pixels without truth are missed


@pytest.mark.parametrize("sizes", [[5], [1, 3, 1], [2, 3]])
def test_figures_of_batches_and_deltas_over_all_pixels_as_semantic_md_s_code_has_them(sizes):
    metric = DepthErrors(RELEASED)
    for batch in zip(*(part.split(sizes) for part in released_example()), strict=True):
        metric.update(*batch)
    check_released(metric.compute())


@pytest.mark.ddp
def test_figures_of_batches_are_those_of_one_process(tmp_path, two_processes):
    whole = released_example()
    shards = [tuple(part[rank::2] for part in whole) for rank in (0, 1)]
    runs = [two_processes.submit(evaluate_shard, r, DepthErrors(RELEASED), [s], tmp_path) for r, s in enumerate(shards)]
    for run in runs:
        check_released(run.result())


def test_silog_does_not_see_scale():
    prediction, target, valid = TestPerImage().inputs()
    wide = EvalProtocol("wide", min_depth=1e-3, max_depth=1e3)
    once, thrice = (evaluate(wide, k * prediction.abs(), target, valid) for k in (1.0, 3.0))
    assert thrice["silog"] == pytest.approx(once["silog"], rel=1e-6)
    assert thrice["abs_rel"] > once["abs_rel"]


def test_silog_of_a_constant_factor_is_zero_despite_round_off():
    target = torch.linspace(0.3, 7, 1000).view(1, 1, 10, 100).double()
    assert evaluate(PER_IMAGE, 1.1 * target, target)["silog"] == pytest.approx(0, abs=1e-5)


def test_the_prediction_is_clamped_to_the_range():
    figures = evaluate(PER_IMAGE, maps([-3.0, 99.0]), maps([0.2, 4.0]))
    assert figures["abs_rel"] == pytest.approx((0.5 + 1) / 2)


def test_without_clamp_a_nonpositive_prediction_is_a_miss_and_costs_a_large_log_error():
    unclamped = EvalProtocol("unclamped", 0.1, 8.0, clamp=False)
    figures = evaluate(unclamped, maps([0.0, -1.0]), maps([1.0, 1.0]))
    assert figures["delta3"] == 0
    assert figures["log10"] == pytest.approx(9)
    assert figures["mae"] == 1.5


def test_per_image_figures_are_those_the_metric_averages():
    inputs = TestPerImage().inputs()
    figures = per_image_depth_errors(*PER_IMAGE.prepare(*inputs))
    assert all(figure.shape == (7,) for figure in figures.values())
    assert all(figure[4].isnan() for figure in figures.values())  # the image without a valid pixel
    averages = evaluate(PER_IMAGE, *inputs)
    assert {name: float(figure.nanmean()) for name, figure in figures.items()} == pytest.approx(
        {name: averages[name] for name in FIGURES}
    )


def test_per_image_figures_of_a_nonfinite_prediction_are_nan_for_that_image_alone():
    prediction, target = maps([1.0, torch.inf], [2.0, 2.0]), maps([1.0, 1.0], [2.0, 2.0])
    figures = per_image_depth_errors(prediction, target, torch.ones_like(target, dtype=torch.bool))
    assert all(figure[0].isnan() and not figure[1].isnan() for figure in figures.values())


def first_way(prediction, target, valid, thresholds, relative_to):
    """(B, T + 7) sums as they were first computed: one map of whole images for each, in float64."""
    prediction, target = prediction.where(valid, 1.0), target.where(valid, 1.0)
    positive = prediction.clamp(min=1e-9)
    error, log_error = prediction - target, positive.log() - target.log()
    ratio = torch.maximum(positive / target, target / positive)
    reference = target if relative_to == "truth" else positive
    maps = (
        *((ratio < threshold) & valid for threshold in thresholds),
        *(error.abs() / reference, error.square() / reference, error.abs(), error.square()),
        *(log_error.abs(), log_error.square(), log_error),
    )
    return torch.stack([errors.sum((1, 2, 3), dtype=torch.float64) for errors in maps], dim=1)


@pytest.mark.parametrize("way", [depth_errors._gathered_sums, depth_errors._masked_sums])
@pytest.mark.parametrize("relative_to", ["truth", "prediction"])
def test_sums_on_every_device_are_those_of_whole_maps(way, relative_to):
    generator = torch.Generator().manual_seed(0)
    target = 0.5 + 9 * torch.rand(3, 1, 40, 50, generator=generator, dtype=torch.float64)
    prediction = target * (0.3 * torch.randn(target.shape, generator=generator)).exp()
    valid = torch.rand(target.shape, generator=generator) < torch.tensor([0.1, 0.9, 1]).view(3, 1, 1, 1)
    prediction[0, 0, :9] = 1.25 * target[0, 0, :9]  # at a threshold, up to round-off of the quotient
    prediction[1, 0, :9] = -0.2  # nobody clamped it
    target[~valid] = 0.0
    options = prediction, target, valid, (1.1, 1.25, 1.953125), relative_to
    kept = [map_.clone() for map_ in (prediction, target)]
    count = valid.sum((1, 2, 3))[:, None]
    torch.testing.assert_close(way(*options) / count, first_way(*options) / count, rtol=1e-12, atol=1e-9)
    assert all(map_.equal(before) for map_, before in zip((prediction, target), kept, strict=True))


@pytest.mark.parametrize("unit", [1.0, 10.0])
@pytest.mark.parametrize("clamp", [True, False, "below"])
@pytest.mark.parametrize("depth", [0.05, 2.5, 40.0])
def test_a_constant_is_prepared_as_a_map_of_it(unit, clamp, depth):
    protocol = replace(PER_IMAGE, unit=unit, clamp=clamp)
    target = 9 * torch.rand(2, 1, 6, 7, generator=torch.Generator().manual_seed(0))
    valid = torch.ones_like(target, dtype=torch.bool)
    prepared = protocol.prepare(torch.full_like(target, depth, dtype=torch.float64), target, valid)
    constant = protocol.constant(protocol.prepare(target, target, valid), depth)
    assert all(map_.equal(other) for map_, other in zip(constant, prepared, strict=True))


def test_the_constant_of_an_aligned_prediction_is_not_known():
    protocol, maps_ = replace(PER_IMAGE, alignment="median"), torch.ones(1, 1, 2, 2)
    with pytest.raises(ValueError, match=r"aligns predictions \(`median`\)"):
        protocol.constant(protocol.prepare(maps_, maps_, maps_ > 0), 2.0)
