"""Pyramid pooling: grids of the eight scales, and the rule for sizes that a scale does not divide."""

import pytest
import torch

from lightning_modules.networks.region_support import PyramidPooling
from lightning_modules.networks.region_support.pyramid import SCALES


def make(stride=1, ref="image", **options):
    torch.manual_seed(0)
    return PyramidPooling(3, 2, stride=stride, ref=ref, **options)


def test_grids_at_the_papers_size():
    half_resolution = torch.zeros(1, 3, 240, 320)
    grids = {scale: tuple(make(2).pool(half_resolution, scale).shape[-2:]) for scale in SCALES}
    assert grids == {2: (240, 320), 4: (120, 160), 8: (60, 80), 10: (48, 64), 20: (24, 32), 40: (12, 16), 80: (6, 8),
                     160: (3, 4)}  # fmt: skip
    literal = {scale: tuple(make(2, "feature").pool(half_resolution, scale).shape[-2:]) for scale in SCALES}
    assert literal == {2: (120, 160), 4: (60, 80), 8: (30, 40), 10: (24, 32), 20: (12, 16), 40: (6, 8), 80: (3, 4),
                       160: (2, 2)}  # fmt: skip


def test_cut_windows_average_the_pixels_they_have():
    x = torch.rand(1, 3, 11, 14, dtype=torch.float64)
    pooled = make().pool(x, 4)
    assert pooled.shape[-2:] == (3, 4)
    for row in range(3):
        for column in range(4):
            window = x[..., 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            torch.testing.assert_close(pooled[..., row, column], window.mean((-2, -1)))


@pytest.mark.parametrize("size", [(37, 51), (96, 128), (161, 159), (1, 1), (5, 300)])
@pytest.mark.parametrize("ref", ["image", "feature"])
@pytest.mark.parametrize("stride", [1, 2])
def test_any_size(size, ref, stride):
    pyramid = make(stride, ref).eval()
    x = torch.rand(2, 3, *size)
    out = pyramid(x)
    assert out.shape == (2, 8 * 2 + 3, *size)
    torch.testing.assert_close(out[:, -3:], x)
    torch.testing.assert_close(pyramid(x[:1]), out[:1])  # a frame does not depend on its batch


@pytest.mark.parametrize("size", [(12, 16), (11, 14), (9, 13)])
def test_nothing_shifts(size):
    """A ramp comes back as it was between the centres of whole windows, cut windows beside them or not."""
    rows, columns = torch.meshgrid(*(torch.arange(side).double() for side in size), indexing="ij")
    ramp = (rows + 2 * columns).expand(1, 3, -1, -1)
    pyramid = make()
    back = pyramid.unpool(pyramid.pool(ramp, 4), 4, size)
    inside = (..., slice(2, size[0] // 4 * 4 - 2), slice(2, size[1] // 4 * 4 - 2))
    torch.testing.assert_close(back[inside], ramp[inside])


def test_one_cell_in_training():
    pyramid = make().train()
    assert pyramid(torch.rand(1, 3, 48, 64)).isfinite().all()
    assert pyramid.training
    assert all(module.training for module in pyramid.modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [({"ref": "grid"}, "`pyramid_ref` must be"), ({"stride": 4}, "multiples of the map's stride")],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
