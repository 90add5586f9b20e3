"""Corrupted images: what each does to pixels, and that it does nothing else."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from datamodules import JPEG, Darkness, GaussianBlur, GaussianNoise
from datamodules.frames import Frame

ALL = (GaussianNoise(20.4), GaussianBlur(3.0), JPEG(15), Darkness(1.0))


def frame(image=None, index=3, height=120, width=160):
    """Smooth colours with a few edges, as photographs have."""
    if image is None:
        rows, columns = np.mgrid[:height, :width]
        image = np.stack([rows, columns, 60 + 80 * (columns // 40 % 2)]).astype(np.uint8)
    depth = torch.rand(1, *image.shape[1:], generator=torch.Generator().manual_seed(0)) + 1
    labels = torch.zeros(image.shape[1:], dtype=torch.int64)
    maps = {"depth": depth, "superpixels": labels}
    return Frame(torch.from_numpy(image), maps, torch.eye(3), "office", 0, index)


@pytest.mark.parametrize("corruption", ALL, ids=repr)
def test_only_the_image_changes_and_always_alike(corruption):
    before = frame()
    kept = before.image.clone()
    torch.manual_seed(0)
    first = corruption(before)
    expected = torch.Generator().manual_seed(0)
    assert torch.equal(torch.rand(3), torch.rand(3, generator=expected))  # the global numbers are not drawn from
    assert torch.equal(first.image, corruption(before).image)
    assert torch.equal(before.image, kept)
    assert (first.image.dtype, first.image.shape) == (torch.uint8, kept.shape)
    assert not torch.equal(first.image, kept)
    assert torch.equal(first.maps["depth"], before.maps["depth"])
    assert set(first.maps) == {"depth"}  # superpixels of the image as it was are none of this one
    assert torch.equal(first.intrinsics, before.intrinsics)


def test_noise_has_its_deviation_and_its_frame():
    grey = np.full((3, 200, 300), 128, dtype=np.uint8)
    noise = GaussianNoise(20.4)(frame(grey)).image.double() - 128
    assert noise.mean().item() == pytest.approx(0, abs=0.2)
    assert noise.std().item() == pytest.approx(20.4, rel=0.01)
    columns = noise.flatten(1)
    assert np.abs(np.corrcoef(columns.numpy()) - np.eye(3)).max() < 0.02  # channels are independent
    other = GaussianNoise(20.4)(frame(grey, index=4)).image.double() - 128
    assert abs(float(np.corrcoef(noise.flatten().numpy(), other.flatten().numpy())[0, 1])) < 0.02
    strong = GaussianNoise(40.8)(frame(grey)).image.double() - 128
    inside = strong.abs() < 120
    assert (strong - 2 * noise)[inside].abs().max() <= 2  # the same noise, twice as strong
    black = GaussianNoise(20.4)(frame(np.zeros_like(grey))).image
    assert (black == 0).double().mean().item() == pytest.approx(0.5, abs=0.03)  # clipped, not wrapped around


@pytest.mark.parametrize("size", [(112, 150), (224, 299)])
def test_blur_is_a_gaussian_in_224ths_of_the_height(size):
    before = frame(height=size[0], width=size[1])
    blurred = GaussianBlur(3.0)(before).image.numpy()
    sigma = 3.0 * size[0] / 224
    for channel, result in zip(before.image.numpy().astype(np.float64), blurred, strict=True):
        expected = gaussian_filter(channel, sigma, mode="mirror", truncate=4)
        assert np.abs(expected - result).max() < 2  # 8-bit kernels


def test_jpeg_is_what_another_library_reads_back():
    before = frame()
    file = io.BytesIO()
    Image.fromarray(before.image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=15)
    expected = np.asarray(Image.open(file)).astype(np.float64).transpose(2, 0, 1)
    made = JPEG(15)(before).image.numpy()
    assert np.abs(expected - made).mean() < 1
    changes = [(JPEG(q)(before).image.double() - before.image).abs().mean().item() for q in (25, 15, 7)]
    assert changes == sorted(changes)


def test_stops_are_halvings_of_the_light():
    image = np.array([0, 1, 100, 200, 255], dtype=np.uint8)[None, None].repeat(3, 0)
    dark = Darkness(2.2)(frame(image)).image[0, 0]  # a factor of one half
    assert dark.tolist() == [0, 0, 50, 100, 128]
    light = (Darkness(1.0)(frame(image)).image[0, 0, 2:] / 255) ** 2.2 / (torch.tensor([100, 200, 255]) / 255) ** 2.2
    assert light.tolist() == pytest.approx([0.5] * 3, abs=0.01)
