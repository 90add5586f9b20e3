"""The evaluation protocol: range, crop, resize, alignment, clamp, and the presets."""

from dataclasses import asdict, fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

from lightning_modules.metrics import EvalProtocol, per_image_depth_errors

PLAIN = EvalProtocol("plain", min_depth=0.1, max_depth=10.0)
PRESETS = sorted((Path(__file__).parents[2] / "experiments/protocol").glob("*.yaml"))


def random_batch(*shape: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    target = 1 + 4 * torch.rand(shape, generator=generator).double()
    prediction = target * (0.2 * torch.randn(shape, generator=generator)).exp()
    return prediction, target, torch.rand(shape, generator=generator) > 0.3


@pytest.mark.parametrize(
    ("crop", "first", "last", "size"),
    [
        ("none", (0, 0), (479, 639), (480, 640)),
        ("eigen", (45, 41), (470, 600), (426, 560)),
        ("densedepth", (20, 24), (459, 615), (440, 592)),
        ("p2orm", (21, 25), (460, 616), (440, 592)),
    ],
)
def test_crops(crop, first, last, size):
    ones = torch.ones(1, 1, 480, 640)
    _, _, valid = replace(PLAIN, crop=crop).prepare(ones, ones, ones.bool())
    inside = valid[0, 0].nonzero()
    assert tuple(inside[0].tolist()) == first
    assert tuple(inside[-1].tolist()) == last
    assert len(inside) == size[0] * size[1]


def test_a_crop_of_another_frame_size_is_refused_with_the_mend():
    ones = torch.ones(1, 1, 240, 320)
    with pytest.raises(ValueError, match=r"`eigen` is defined on 480x640.*240x320.*protocol.crop: none"):
        replace(PLAIN, crop="eigen").prepare(ones, ones, ones.bool())


def test_the_range_of_the_truth_is_open_and_leaves_masked_pixels_masked():
    target = torch.tensor([0.0, 0.125, 0.126, 9.99, 10.0, 11.0, torch.nan, 5.0]).view(1, 1, 2, 4)
    valid = torch.ones_like(target, dtype=torch.bool)
    valid[..., -1] = False
    _, _, evaluated = replace(PLAIN, min_depth=0.125).prepare(torch.ones_like(target), target, valid)
    assert evaluated.flatten().tolist() == [False, False, True, False, False, False, False, False]


def test_clipped_truth_counts_as_the_maximum():
    target = torch.tensor([5.0, 15.0, 40.0]).view(1, 1, 1, 3)
    clipped = EvalProtocol("clipped", 0.1, 15.0, clip_truth=True)
    _, truth, evaluated = clipped.prepare(torch.ones_like(target), target, torch.ones_like(target, dtype=torch.bool))
    assert truth.flatten().tolist() == [5, 15, 15]
    assert evaluated.all()


@pytest.mark.parametrize("scale", [2, 3])
def test_the_prediction_is_resized_bilinearly_to_the_truth(scale):
    prediction = random_batch(1, 1, 6, 8)[0]
    target = torch.ones(1, 1, 6 * scale, 8 * scale)
    resized, _, _ = PLAIN.prepare(prediction, target, target.bool())
    expected = cv2.resize(prediction[0, 0].numpy(), (8 * scale, 6 * scale), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(resized[0, 0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(("align_corners", "expected"), [(False, [1, 1.75, 3.25, 4]), (True, [1, 2, 3, 4])])
def test_the_resize_takes_pixels_as_areas_or_aligns_corners(align_corners, expected):
    prediction, target = torch.tensor([1.0, 4.0]).view(1, 1, 1, 2), torch.ones(1, 1, 1, 4)
    resized, _, _ = replace(PLAIN, align_corners=align_corners).prepare(prediction, target, target.bool())
    assert resized.flatten().tolist() == pytest.approx(expected)


def test_a_prediction_of_the_truth_s_size_is_left_alone():
    prediction = random_batch(1, 1, 6, 8)[0]
    prediction[..., 2, 3] = torch.nan
    resized, _, _ = PLAIN.prepare(prediction, torch.ones_like(prediction), torch.ones_like(prediction).bool())
    torch.testing.assert_close(resized, prediction, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("alignment", ["median", "scale", "least_squares", "inverse_least_squares", "log"])
@pytest.mark.parametrize("factor", [0.01, 7.0])
def test_every_alignment_removes_a_factor_of_each_image(alignment, factor):
    _, target, valid = random_batch(3, 1, 8, 9)
    factors = torch.tensor([factor, 1.0, 3 * factor]).view(3, 1, 1, 1)
    aligned, _, _ = replace(PLAIN, alignment=alignment).prepare(factors * target, target, valid)
    torch.testing.assert_close(aligned, target)


def test_no_alignment_leaves_a_factor():
    _, target, valid = random_batch(3, 1, 8, 9)
    prediction, _, _ = PLAIN.prepare(1.5 * target, target, valid)
    torch.testing.assert_close(prediction, 1.5 * target)


def test_least_squares_is_the_best_scale_and_shift_of_each_image():
    prediction, target, valid = random_batch(3, 1, 8, 9)
    aligned, _, _ = replace(PLAIN, alignment="least_squares").prepare(0.3 * prediction - 2, target, valid)
    for image in range(3):
        mask = valid[image].numpy()
        x, y = prediction[image].numpy(), target[image].numpy()
        slope, intercept = np.polyfit(x[mask], y[mask], 1)
        np.testing.assert_allclose(aligned[image].numpy(), slope * x + intercept, rtol=1e-9)


def test_the_scale_is_the_best_factor_of_each_image():
    prediction, target, valid = random_batch(3, 1, 8, 9)
    aligned, _, _ = replace(PLAIN, alignment="scale").prepare(0.3 * prediction, target, valid)
    for image in range(3):
        mask = valid[image].numpy()
        x, y = prediction[image].numpy(), target[image].numpy()
        (factor,), *_ = np.linalg.lstsq(x[mask][:, None], y[mask], rcond=None)
        np.testing.assert_allclose(aligned[image].numpy(), factor * x, rtol=1e-9)


def test_inverse_least_squares_fits_a_line_to_inverse_depth():
    prediction, target, valid = random_batch(3, 1, 8, 9)
    disparity = 4 / prediction - 0.3
    aligned, _, _ = replace(PLAIN, alignment="inverse_least_squares").prepare(1 / disparity, target, valid)
    for image in range(3):
        mask = valid[image].numpy()
        x, y = disparity[image].numpy(), 1 / target[image].numpy()
        slope, intercept = np.polyfit(x[mask], y[mask], 1)
        expected = 1 / np.maximum(slope * x + intercept, 1e-6)
        np.testing.assert_allclose(aligned[image].numpy(), np.clip(expected, 0.1, 10), rtol=1e-9)


def test_relative_disparity_of_zero_is_fitted_too_and_one_that_is_missing_is_not():
    target = torch.tensor([1.0, 2.0, 4.0, 8.0]).view(1, 1, 1, 4).double()
    disparity = 3 / target - 3 / 8  # 0 at the farthest pixel: infinite as depth
    fitted = replace(PLAIN, alignment="inverse_least_squares")
    aligned, _, _ = fitted.prepare(1 / disparity, target, target.bool())
    torch.testing.assert_close(aligned, target)
    disparity[..., 1] = torch.nan
    aligned, _, _ = fitted.prepare(1 / disparity, target, target.bool())
    assert aligned.flatten().isnan().tolist() == [False, True, False, False]


@pytest.mark.parametrize("constant", [0.5, 0.3])  # the mean of 0.3s is off by round-off, that of 0.5s is exact
def test_least_squares_of_a_constant_prediction_is_the_mean_of_the_truth(constant):
    _, target, valid = random_batch(1, 1, 8, 9)
    aligned, _, _ = replace(PLAIN, alignment="least_squares").prepare(torch.full_like(target, constant), target, valid)
    torch.testing.assert_close(aligned, target[valid].mean().expand_as(aligned))


def test_median_alignment_takes_the_ratio_of_numpy_medians():
    prediction, target, valid = random_batch(1, 1, 4, 5)
    valid.view(-1)[:] = True  # an even number of pixels: the median lies between two
    aligned, _, _ = replace(PLAIN, alignment="median").prepare(prediction, target, valid)
    expected = prediction * np.median(target.numpy()) / np.median(prediction.numpy())
    torch.testing.assert_close(aligned, expected)


def test_log_alignment_makes_the_mean_log_error_zero():
    prediction, target, valid = random_batch(2, 1, 8, 9)
    aligned, _, _ = replace(PLAIN, alignment="log").prepare(5 * prediction, target, valid)
    for image in range(2):
        errors = (aligned / target).log()[image][valid[image]]
        assert errors.mean().abs() < 1e-12


def test_log_alignment_fits_positive_predictions_and_clamps_the_others():
    target = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 3)
    prediction = torch.tensor([-1.0, 4.0, 6.0]).view(1, 1, 1, 3)
    aligned, _, _ = replace(PLAIN, alignment="log").prepare(prediction, target, target.bool())
    assert aligned.flatten().tolist() == pytest.approx([0.1, 2, 3])


@pytest.mark.parametrize("alignment", ["median", "scale", "least_squares", "log"])
def test_alignment_ignores_pixels_off_the_truth_and_leaves_a_nonfinite_one_countable(alignment):
    _, target, valid = random_batch(2, 1, 8, 9)
    valid[0, 0, 0, 0] = True
    prediction = (2 * target).where(valid, 1e6)
    prediction[0, 0, 0, 0] = torch.inf
    aligned, _, evaluated = replace(PLAIN, alignment=alignment).prepare(prediction, target, valid)
    assert aligned[0, 0, 0, 0].isnan()
    evaluated[0, 0, 0, 0] = False
    torch.testing.assert_close(aligned[evaluated], target[evaluated])


def test_the_clamp_comes_after_the_alignment():
    target = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 3)
    prediction = 100 * target  # all above the range before alignment
    aligned, _, _ = replace(PLAIN, alignment="median").prepare(prediction, target, target.bool())
    torch.testing.assert_close(aligned, target.double())


def test_figures_in_another_unit_scale_with_it():
    batch = random_batch(2, 1, 8, 9)
    metres, tens = (per_image_depth_errors(*replace(PLAIN, unit=unit).prepare(*batch)) for unit in (1.0, 10.0))
    for name in ("rmse", "mae", "sq_rel"):
        torch.testing.assert_close(10 * tens[name], metres[name])
    for name in ("delta1", "abs_rel", "log10", "silog"):
        torch.testing.assert_close(tens[name], metres[name])


def test_low_precision_is_evaluated_in_float64():
    prediction, target, valid = random_batch(1, 1, 8, 9)
    prepared, truth, _ = PLAIN.prepare(prediction.half(), target.float(), valid)
    assert prepared.dtype == truth.dtype == torch.float64
    assert torch.equal(prepared, prediction.half().double())


@pytest.mark.parametrize("shapes", [((2, 8, 9), (2, 1, 8, 9)), ((1, 1, 8, 9), (2, 1, 8, 9)), ((2, 2, 8, 9),) * 2])
def test_maps_of_the_wrong_shape_are_refused(shapes):
    prediction, target = (torch.ones(shape) for shape in shapes)
    with pytest.raises(ValueError, match=r"prediction must be \(B, 1, h, w\)"):
        PLAIN.prepare(prediction, target, target.bool())


@pytest.mark.parametrize(
    "limits", [{"min_depth": 0.0}, {"min_depth": 10.0}, {"max_depth": float("nan")}, {"unit": 0.0}]
)
def test_an_impossible_range_is_refused(limits):
    with pytest.raises(ValueError, match="protocol `plain`"):
        replace(PLAIN, **limits)


def test_the_presets_are_those_of_the_protocol_page():
    names = {"nyu_eigen", "nyu_eigen_filled", "nyu_densedepth", "nyu_p2orm", "hypersim_semantic_md"}
    names |= {"hypersim_semantic_md_released", "hypersim_semantic_md_as_printed"}
    assert {path.stem for path in PRESETS} == names | {
        "nyu_region_support",
        "nyu_mti_unit",
        "rooms",
        "hypersim",
        "ibims1",
    }


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_builds_the_protocol_of_its_name(path):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model.init_args.protocol", type=EvalProtocol)
    parsed = parser.parse_string(path.read_text())
    protocol = parser.instantiate(parsed).model.init_args.protocol
    assert isinstance(protocol, EvalProtocol)
    assert protocol.name == path.stem
    # Every field is stated: a preset laid over another one must leave nothing of it. `radial` is the data set's.
    stated = yaml.safe_load(path.read_text())["model"]["init_args"]["protocol"]
    assert stated.keys() == {field.name for field in fields(EvalProtocol)} - {"radial"}
    assert asdict(protocol) == stated | {"radial": False}
