"""The structured depth loss, term by term, against plain NumPy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import sobel as scipy_sobel

from lightning_modules.losses import StructuredDepthLoss

TERMS = {"l1": "alpha", "gradient": "beta", "edge_aware": "gamma"}


def batch(size=(7, 9)):
    rng = np.random.default_rng(0)
    prediction, truth = rng.uniform(0.5, 9, (2, 3, 1, *size))
    valid = rng.random((3, 1, *size)) < 0.7
    edges = (rng.random((3, 1, *size)) < 0.3).astype(float)
    return prediction, truth, valid, edges


def tensors(*arrays):
    return tuple(torch.from_numpy(array) for array in arrays)


def only(term, **options):
    """The loss of one term, of weight 1."""
    weights = {name: float(name == TERMS[term]) for name in TERMS.values()}
    return StructuredDepthLoss(**weights, **options)


def test_l1_is_the_mean_error_of_valid_pixels_in_units():
    prediction, truth, valid, _ = batch()
    expected = np.abs(prediction - truth)[valid].mean() / 4
    assert only("l1", unit=4.0)(*tensors(prediction, truth, valid)).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scales", [1, 3])
def test_gradients_are_compared_between_valid_neighbours(scales):
    prediction, truth, valid, _ = batch()
    expected = 0.0
    for scale in range(scales):
        s = 2**scale
        p, g, v = (map_[..., ::s, ::s] for map_ in (prediction / 10, truth / 10, valid))
        for axis in (-1, -2):
            slopes = np.abs(np.diff(p, axis=axis) - np.diff(g, axis=axis))
            here = np.take(v, np.arange(v.shape[axis] - 1), axis) & np.take(v, np.arange(1, v.shape[axis]), axis)
            expected += slopes[here].mean()
    loss = only("gradient", scales=scales)
    assert loss(*tensors(prediction, truth, valid)).item() == pytest.approx(expected, rel=1e-12)


def test_sobel_gradients_are_scipys():
    prediction, truth, valid, _ = batch()
    valid[..., :6] = True
    expected = 0.0
    for axis in (-1, -2):
        slopes, whole = [], []
        for p, g, v in zip(prediction[:, 0], truth[:, 0], valid[:, 0], strict=True):
            error = np.where(v, p - g, 0) / 10
            slopes.append(scipy_sobel(error, axis=axis)[1:-1, 1:-1] / 8)
            windows = np.lib.stride_tricks.sliding_window_view(v, (3, 3))
            whole.append(windows.all((2, 3)))
        expected += np.abs(np.stack(slopes))[np.stack(whole)].mean()
    loss = only("gradient", gradient="sobel")
    assert loss(*tensors(prediction, truth, valid)).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gradient", ["forward", "sobel"])
def test_a_plane_has_its_own_slope(gradient):
    plane = torch.arange(6.0).expand(1, 1, 5, 6) * 0.3
    loss = only("gradient", gradient=gradient, unit=1.0)
    flat, everywhere = torch.zeros_like(plane), torch.ones_like(plane, dtype=torch.bool)
    assert loss(plane, flat, everywhere).item() == pytest.approx(0.3)


def test_smoothness_counts_away_from_edges():
    prediction, truth, valid, edges = batch()
    p = prediction / 10
    x = np.abs(np.diff(p, axis=-1)) * (1 - edges[..., :-1])
    y = np.abs(np.diff(p, axis=-2)) * (1 - edges[..., :-1, :])
    loss = only("edge_aware")(*tensors(prediction, truth, valid, edges)).item()
    assert loss == pytest.approx(x.mean() + y.mean(), rel=1e-12)


def test_smoothness_can_be_weighted_by_the_image():
    prediction, truth, valid, _ = batch()
    image = np.random.default_rng(1).random((3, 3, 7, 9))
    expected = 0.0
    for axis in (-1, -2):
        weight = np.exp(-np.abs(np.diff(image, axis=axis)).mean(1, keepdims=True))
        expected += (np.abs(np.diff(prediction / 10, axis=axis)) * weight).mean()
    loss = only("edge_aware", edge_source="image")(*tensors(prediction, truth, valid, image)).item()
    assert loss == pytest.approx(expected, rel=1e-12)


def test_terms_are_weighted_and_summed():
    data = tensors(*batch())
    weights = {"alpha": 0.5, "beta": 2.0, "gamma": 0.3}
    terms = StructuredDepthLoss(**weights).terms(*data)
    expected = {term: weights[TERMS[term]] * only(term)(*data) for term in TERMS}
    assert terms.keys() == expected.keys()
    for term, value in terms.items():
        torch.testing.assert_close(value, expected[term])
    torch.testing.assert_close(StructuredDepthLoss(**weights)(*data), sum(expected.values()))


def test_terms_of_no_weight_are_left_out_and_need_nothing():
    prediction, truth, valid, _ = tensors(*batch())
    loss = StructuredDepthLoss(beta=0.0, gamma=0.0)
    assert loss.needs is None
    assert set(loss.terms(prediction, truth, valid)) == {"l1"}
    assert StructuredDepthLoss().needs == "edges"


@pytest.mark.parametrize("gradient", ["forward", "sobel"])
def test_the_gradient_is_the_numeric_one(gradient):
    prediction, truth, valid, edges = tensors(*batch((5, 6)))
    loss = StructuredDepthLoss(gradient=gradient, scales=2)
    assert torch.autograd.gradcheck(lambda p: loss(p, truth, valid, edges), prediction.requires_grad_())


def test_pixels_without_truth_do_not_matter_whatever_they_hold():
    prediction, truth, valid, edges = tensors(*batch())
    loss = StructuredDepthLoss(scales=2)
    expected = loss(prediction, truth, valid, edges)
    prediction.requires_grad_()
    dirty = loss(prediction, truth.where(valid, torch.inf), valid, edges)
    dirty.backward()
    assert torch.equal(dirty, expected)
    assert prediction.grad.isfinite().all()


@pytest.mark.parametrize("options", [{}, {"gradient": "sobel"}])
def test_a_batch_without_truth_can_be_trained_on(options):
    prediction, truth, valid, edges = tensors(*batch())
    prediction.requires_grad_()
    terms = StructuredDepthLoss(**options).terms(prediction, truth, torch.zeros_like(valid), edges)
    sum(terms.values()).backward()
    assert terms["l1"].item() == terms["gradient"].item() == 0
    assert prediction.grad.isfinite().all()


def test_low_precision_predictions_are_computed_in_float32():
    prediction, truth, valid, edges = tensors(*batch())
    low = prediction.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        loss = StructuredDepthLoss()(low, truth.float(), valid, edges)
    assert loss.dtype == torch.float32
    exact = StructuredDepthLoss()(low.double(), truth, valid, edges)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=0)


def test_what_does_not_fit_is_refused():
    prediction, truth, valid, edges = tensors(*batch())
    with pytest.raises(ValueError, match="one shape"):
        StructuredDepthLoss()(prediction[..., 1:], truth, valid, edges)
    for guide in (None, edges[..., 1:]):
        with pytest.raises(ValueError, match="needs `edges` at the size"):
            StructuredDepthLoss()(prediction, truth, valid, guide)


@pytest.mark.parametrize(
    "option", [{"beta": -1.0}, {"unit": 0.0}, {"scales": 0}, {"gradient": "scharr"}, {"edge_source": "depth"}]
)
def test_an_unknown_option_is_refused_by_name(option):
    with pytest.raises(ValueError, match=f"`{next(iter(option))}`"):
        StructuredDepthLoss(**option)
