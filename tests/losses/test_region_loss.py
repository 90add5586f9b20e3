"""The region loss against equation 2 by hand, and what it promises of ids, pixels and gradients."""

import numpy as np
import pytest
import torch

from lightning_modules.losses import IterationLoss, PixelLoss, RegionLoss


def equation_2(y, truth, regions, used, form, space):
    """Region by region, image by image, in NumPy."""
    y, truth = (np.log(map_) if space == "log" else map_ for map_ in (y, truth))
    images = []
    for image in range(len(y)):
        terms = []
        for region in np.unique(regions[image][used[image]]):
            errors = (y - truth)[image][(regions[image] == region) & used[image]]
            terms.append({"l1": abs(errors).mean(), "l2": (errors**2).mean(), "abs_mean": abs(errors.mean())}[form])
        if terms:
            images.append(np.mean(terms))
    return np.mean(images)


def example(seed=0, images=3, height=7, width=9):
    generator = torch.Generator().manual_seed(seed)
    truth = 1 + 4 * torch.rand(images, 1, height, width, generator=generator)
    y = truth * (0.2 * torch.randn(truth.shape, generator=generator)).exp()
    regions = torch.randint(0, 5, (images, height, width), generator=generator)
    valid = torch.rand(truth.shape, generator=generator) > 0.2
    return y, truth, regions, valid


@pytest.mark.parametrize("form", ["l1", "l2", "abs_mean"])
@pytest.mark.parametrize("space", ["linear", "log"])
@pytest.mark.parametrize("unlabeled", ["ignore", "one_region"])
def test_equation_2(form, space, unlabeled):
    y, truth, regions, valid = example()
    regions[2] = 0  # an image without a region
    loss = RegionLoss(form, space, unlabeled)(y, truth, regions, valid)
    used = valid[:, 0] & ((regions > 0) | (unlabeled == "one_region"))
    maps = (map_.squeeze(1).double().numpy() for map_ in (y, truth))
    expected = equation_2(*maps, regions.numpy(), used.numpy(), form, space)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_a_region_of_one_pixel_weighs_like_a_wall():
    truth = torch.full((1, 1, 10, 10), 2.0)
    regions = torch.ones(1, 10, 10, dtype=torch.int64)
    regions[0, 4, 4] = 2
    y = truth.clone()
    y[0, 0, 4, 4] = 3.0
    everywhere = torch.ones_like(truth, dtype=torch.bool)
    assert float(RegionLoss(space="linear")(y, truth, regions, everywhere)) == pytest.approx(0.5)


def test_names_of_regions_do_not_matter():
    y, truth, regions, valid = example()
    names = torch.tensor([0, 2**40, 3, 17, 5])
    renamed = RegionLoss()(y, truth, names[regions], valid)
    assert float(renamed) == pytest.approx(float(RegionLoss()(y, truth, regions, valid)), rel=1e-6)


def test_images_are_judged_alone():
    y, truth, regions, valid = example()
    loss = RegionLoss()
    alone = [loss(*(map_[i : i + 1] for map_ in (y, truth, regions, valid))) for i in range(3)]
    assert float(loss(y, truth, regions, valid)) == pytest.approx(float(torch.stack(alone).mean()), rel=1e-6)


@pytest.mark.parametrize("space", ["linear", "log"])
def test_pixels_that_do_not_count_have_no_gradient_whatever_they_hold(space):
    y, truth, regions, valid = example()
    unused = ~valid | (regions[:, None] == 0)
    y[unused], truth[unused] = torch.nan, torch.nan
    y.requires_grad_()
    loss = RegionLoss(space=space)(y, truth, regions, valid)
    loss.backward()
    assert loss.isfinite()
    assert (y.grad[unused] == 0).all()
    assert (y.grad[~unused] != 0).all()


def test_gradient():
    y, truth, regions, valid = example(images=2, height=3, width=4)
    inputs = (y.double().requires_grad_(), truth.double(), regions, valid)
    assert torch.autograd.gradcheck(lambda y: RegionLoss()(y, *inputs[1:]), inputs[:1])


def test_no_region_no_loss():
    y, truth, regions, valid = example()
    y.requires_grad_()
    loss = RegionLoss()(y, truth, 0 * regions, valid)
    loss.backward()
    assert loss == 0
    assert not y.grad.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision(dtype):
    y, truth, regions, valid = example(images=1, height=200, width=300)
    y = y.to(dtype)
    loss = RegionLoss()(y, truth, regions, valid)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(RegionLoss()(y.double(), truth.double(), regions, valid)), rel=1e-5)


def test_depth_below_the_floor_is_finite():
    y, truth, regions, valid = example()
    assert RegionLoss()(0 * y - 1, truth, regions, valid).isfinite()


@pytest.mark.parametrize("space", ["linear", "log"])
def test_equation_1(space):
    y, truth, regions, valid = example()
    expected = []
    for image in range(3):
        a, b = (map_[image][valid[image]].double() for map_ in (y, truth))
        expected.append(((a.log() - b.log()) if space == "log" else a - b).square().mean())
    loss = PixelLoss(space)(y, truth, regions, valid)
    assert float(loss) == pytest.approx(float(torch.stack(expected).mean()), rel=1e-5)


def test_equation_3():
    y, truth, regions, valid = example()
    loss = RegionLoss()
    terms = [loss(factor * y, truth, regions, valid) for factor in (0.5, 0.8, 1.0)]
    total = IterationLoss(loss)([0.5 * y, 0.8 * y, y], truth, regions, valid)
    assert float(total) == pytest.approx(float(0.2 * terms[0] + 0.3 * terms[1] + 0.5 * terms[2]), rel=1e-6)
    with pytest.raises(ValueError, match="3 weights of iterations, but 2 iterations"):
        IterationLoss(loss)([y, y], truth, regions, valid)


@pytest.mark.parametrize("option", [{"form": "l3"}, {"space": "exp"}, {"unlabeled": "zero"}])
def test_unknown_names(option):
    with pytest.raises(ValueError, match=f"RegionLoss: `{next(iter(option))}` must be one of"):
        RegionLoss(**option)


def test_shapes_that_do_not_fit():
    y, truth, regions, valid = example()
    with pytest.raises(ValueError, match=r"one shape \(B, 1, H, W\), and regions \(B, H, W\)"):
        RegionLoss()(y, truth, regions[:, None], valid)
