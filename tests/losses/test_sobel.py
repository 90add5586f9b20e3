"""Sobel's filter against OpenCV, and the correlation loss against equation 10 with its minus."""

import cv2
import numpy as np
import pytest
import torch

from lightning_modules.losses import SobelCorrelationLoss
from lightning_modules.losses.sobel import MARGIN, STEP_RESPONSE, depth_edges, sees_valid, sobel


def step(height=0.5):
    """(1, 1, 7, 9) with a step of depth from one column to the next."""
    depth = torch.full((1, 1, 7, 9), 0.2, dtype=torch.float64)
    depth[..., 4:] += height
    return depth


def random_maps():
    generator = torch.Generator().manual_seed(6)
    depth = torch.rand(2, 1, 7, 8, generator=generator).double()
    return depth, (torch.rand(depth.shape, generator=generator) < 0.3).double()


@pytest.mark.parametrize("size", [3, 5])
def test_responses_are_those_of_opencv(size):
    depth, _ = random_maps()
    for image, response in zip(depth[:, 0].numpy(), sobel(depth, size).numpy(), strict=True):
        for axis, orders in enumerate([(1, 0), (0, 1)]):
            expected = cv2.Sobel(image, cv2.CV_64F, *orders, ksize=size)
            assert np.allclose(response[axis], expected, atol=1e-12)


def test_the_smaller_filter_is_the_operator_that_the_paper_cites():
    """Sobel's 3x3 gradient operator, by hand: sums of rows weighted 1, 2, 1, two pixels apart."""
    depth = random_maps()[0]
    left, right = depth[:, 0, 1:4, 2], depth[:, 0, 1:4, 4]
    by_hand = ((right - left) * torch.tensor([1.0, 2.0, 1.0])).sum(1)
    torch.testing.assert_close(sobel(depth, 3)[:, 0, 2, 3], by_hand)


@pytest.mark.parametrize(("size", "response"), [(3, 4.0), (5, 48.0)])
def test_a_step_answers_with_a_multiple_of_its_height(size, response):
    assert STEP_RESPONSE[size] == response
    assert float(sobel(step(0.5), size).abs().max()) == pytest.approx(response * 0.5)
    assert sobel(torch.full((1, 1, 6, 6), 0.3), size).abs().max() < 1e-5
    assert not depth_edges(step(0.5), response * 0.501, size=size).any()
    assert depth_edges(step(0.5), response * 0.499, size=size).any()


def test_the_authors_threshold_needs_a_step_of_more_than_6_metres():
    assert not depth_edges(step(6.2 / 15), 20.0).any()
    assert depth_edges(step(6.3 / 15), 20.0).any()


def test_there_is_no_edge_around_an_invalid_pixel():
    depth = step(0.0)
    depth[0, 0, 3, 3] = 0.0  # what an invalid pixel holds
    valid = depth > 0
    assert depth_edges(depth, 0.5).any()
    assert not depth_edges(depth, 0.5, valid).any()
    assert not depth_edges(depth, 0.5, valid, size=3).any()


@pytest.mark.parametrize(("size", "seen"), [(3, 7 * 9 - 9), (5, 7 * 9 - 25)])
def test_pixels_whose_filter_sees_an_invalid_one(size, seen):
    valid = torch.ones(1, 1, 7, 9, dtype=torch.bool)
    valid[0, 0, 3, 4] = False
    assert int(sees_valid(valid, size).sum()) == seen


def by_equation_10(depth, contours, threshold, size=5):
    """Its terms with the minus (B, H, W), of OpenCV's filter."""
    images = depth[:, 0].numpy()
    across, down = (np.stack([cv2.Sobel(i, cv2.CV_64F, *o, ksize=size) for i in images]) for o in ((1, 0), (0, 1)))
    s = np.clip(1 - np.exp(-np.hypot(across, down) / threshold), MARGIN, 1 - MARGIN)
    c = contours[:, 0].numpy()
    return -(c * np.log(s) + (1 - c) * np.log(1 - s))


@pytest.mark.parametrize("size", [3, 5])
def test_it_is_equation_10_with_its_minus(size):
    depth, contours = random_maps()
    loss = SobelCorrelationLoss(threshold=4.0, size=size)
    expected = by_equation_10(depth, contours, 4.0, size).mean()
    assert float(loss(depth, contours)) == pytest.approx(expected, rel=1e-9)


def test_pixels_whose_filter_sees_no_depth_are_left_out():
    depth, contours = random_maps()
    valid = torch.ones(depth.shape, dtype=torch.bool)
    valid[0, 0, 1, 2] = False
    kept = np.ones((2, 7, 8), dtype=bool)
    kept[0, :3, 1:4] = False  # 3x3 around it
    loss = SobelCorrelationLoss(threshold=4.0, size=3)
    expected = by_equation_10(depth, contours, 4.0, 3)[kept].mean()
    assert float(loss(depth, contours, valid)) == pytest.approx(expected, rel=1e-9)
    depth.requires_grad_()
    none = loss(depth, contours, torch.zeros_like(valid))
    none.backward()
    assert none.item() == 0
    assert not depth.grad.any()


def test_equation_10_as_printed_has_no_value_and_without_bounds_alone_would_be_maximised():
    """Why something stands in its place: S of a flat depth is 0, of an edge above 1, and there is no minus."""
    contours = torch.zeros(1, 1, 7, 9, dtype=torch.float64)
    contours[..., 3:5] = 1

    def printed(s):
        return torch.where(contours > 0, s.log(), (1 - s).log())

    flat = torch.zeros_like(contours)
    assert printed(sobel(flat).norm(dim=1, keepdim=True)).mean() == -torch.inf
    away = step().roll(3, -1)
    assert printed(sobel(away).norm(dim=1, keepdim=True)).mean().isnan()
    bounded = SobelCorrelationLoss()
    right, wrong = (float(printed(bounded.strength(d).clamp(MARGIN, 1 - MARGIN)).mean()) for d in (step(), away))
    assert right > wrong  # the better prediction has the larger value
    assert (float(bounded(step(), contours)), float(bounded(away, contours))) == pytest.approx((-right, -wrong))


def test_the_slope_is_the_numeric_one():
    depth, contours = random_maps()
    loss = SobelCorrelationLoss(threshold=40.0)
    assert torch.autograd.gradcheck(lambda d: loss(d, contours), depth.requires_grad_())


def test_edges_on_the_contours_cost_less_than_edges_elsewhere():
    contours = torch.zeros(1, 1, 7, 9)
    contours[..., 3:5] = 1
    away = contours.roll(3, dims=-1)
    loss = SobelCorrelationLoss()
    assert loss(step(), contours) < loss(step(), away)
    depth = step(0.02).requires_grad_()
    loss(depth, contours).backward()
    assert depth.grad[..., 2:4].sum() > 0 > depth.grad[..., 4:6].sum()  # the step is to grow


def test_the_detached_mode_is_a_number_without_a_slope():
    depth, contours = random_maps()
    loss = SobelCorrelationLoss("detached", threshold=20.0)
    value = loss(depth.requires_grad_(), contours)
    assert not value.requires_grad
    hits = (depth_edges(depth.detach(), 20.0) == (contours > 0)).double().mean()
    expected = -(hits * np.log(1 - MARGIN) + (1 - hits) * np.log(MARGIN))
    assert float(value) == pytest.approx(float(expected), rel=1e-9)


def test_single_precision_has_all_its_digits_at_strong_edges_too():
    """There 1 - S has few left of 1; the logarithm of it is -|g| / t."""
    depth, contours = step(0.11), torch.zeros(1, 1, 7, 9, dtype=torch.float64)
    loss = SobelCorrelationLoss()
    assert float(loss.strength(depth).max()) > 0.99
    assert float(loss(depth.float(), contours.float())) == pytest.approx(float(loss(depth, contours)), rel=1e-6)


@pytest.mark.parametrize("mode", ["soft", "detached"])
def test_a_flat_depth_has_a_finite_slope(mode):
    depth = torch.full((1, 1, 6, 6), 0.5, requires_grad=True)
    value = SobelCorrelationLoss(mode)(depth, torch.ones(1, 1, 6, 6))
    assert value.isfinite()
    if mode == "soft":
        value.backward()
        assert depth.grad.isfinite().all()


def test_it_runs_under_autocast():
    depth, contours = random_maps()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = SobelCorrelationLoss()(depth.float(), contours.float())
    assert float(value) == pytest.approx(float(SobelCorrelationLoss()(depth, contours)), rel=1e-5)


def test_bad_options_and_shapes_are_named():
    with pytest.raises(ValueError, match="`mode` must be soft or detached"):
        SobelCorrelationLoss("hard")
    with pytest.raises(ValueError, match="`threshold` must be positive"):
        SobelCorrelationLoss(threshold=0.0)
    with pytest.raises(ValueError, match="`size` must be 3 or 5, got 4"):
        SobelCorrelationLoss(size=4)
    with pytest.raises(ValueError, match=r"need two \(B, 1, H, W\)"):
        SobelCorrelationLoss()(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 8, 8))
