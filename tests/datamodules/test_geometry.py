"""Augmentation keeps geometry true: known 3-D points project to where every map shows them, before and after."""

import numpy as np
import pytest
import torch

from datamodules import CenterCrop, ResizeFrame
from datamodules.frames import Frame
from datamodules.hypersim.scene_format import camera_matrix
from datamodules.nyuv2.labeled_format import intrinsics
from datamodules.pipeline.transforms import EvalTransform, Finish, TrainTransform, crop, flip, resize

HEIGHT, WIDTH = 60, 80
IDENTITY = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
TILTED = np.array([[0.5796, 0.01, -0.0696], [0.0, 0.4347, 0.0927], [-0.02, 0.0041, -1.0039]])
CAMERAS = {
    "nyuv2": intrinsics(HEIGHT, WIDTH).astype(np.float64),
    "tilted": camera_matrix(TILTED, HEIGHT, WIDTH),
}


def scene(camera):
    """A frame whose map ``points`` (3, H, W) holds the 3-D point that each pixel sees, on a bumpy surface."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    depth = 3 + np.sin(x / 9) * np.cos(y / 7) + 0.01 * x
    rays = np.linalg.inv(CAMERAS[camera]) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    points = (rays / rays[2] * depth.ravel()).reshape(3, HEIGHT, WIDTH)
    return Frame(
        image=torch.from_numpy(np.stack([x, y, x + y])).to(torch.uint8),
        maps={"depth": torch.from_numpy(depth)[None].float(), "points": torch.from_numpy(points)},
        intrinsics=torch.from_numpy(CAMERAS[camera]).float(),
        scene="bumps",
        frame=0,
        index=0,
    )


def reprojection_error(points, depth, matrix, *, mirrored=False):
    """Largest distance, in pixels, between where points project and where the map shows them; depth must be their z."""
    points = points.double() * torch.tensor([-1.0 if mirrored else 1.0, 1.0, 1.0])[:, None, None]
    torch.testing.assert_close(points[2].float(), depth[0])
    projected = torch.einsum("ij,jhw->ihw", matrix.double(), points)
    projected = projected[:2] / projected[2]
    y, x = torch.meshgrid(*(torch.arange(n).double() for n in points.shape[1:]), indexing="ij")
    return (projected - torch.stack([x, y])).abs().amax(dim=(1, 2))  # in x and in y


def error(frame, **options):
    return reprojection_error(frame.maps["points"], frame.maps["depth"], frame.intrinsics, **options)


@pytest.mark.parametrize("camera", CAMERAS)
def test_points_project_to_their_pixels_before_anything(camera):
    assert error(scene(camera)).max() < 1e-3


@pytest.mark.parametrize("camera", CAMERAS)
def test_crop_and_flip_are_exact(camera):
    frame = scene(camera)
    assert error(crop(frame, 7, 11, 40, 50)).max() < 1e-3
    assert error(flip(frame), mirrored=True).max() < 1e-3
    assert error(flip(crop(flip(frame), 3, 5, 31, 44))).max() < 1e-3
    assert error(CenterCrop((33, 47))(frame)).max() < 1e-3


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("size", [(30, 40), (120, 160), (45, 100), (17, 23)])
def test_resize_is_true_to_half_a_source_pixel(camera, size):
    """Maps take the nearest source pixel, which lies at most half a source pixel from the new pixel's centre."""
    for frame in (resize(scene(camera), *size), ResizeFrame(size, nearest=True)(scene(camera))):
        x, y = error(frame).tolist()
        assert x <= 0.5 * size[1] / WIDTH + 1e-3
        assert y <= 0.5 * size[0] / HEIGHT + 1e-3


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("seed", range(6))
def test_random_training_views(camera, seed):
    torch.manual_seed(seed)
    transform = TrainTransform(Finish(*IDENTITY), crop=(40, 48), resize=(75, 100), hflip=0.5)
    sample = transform(scene(camera))
    errors = [
        reprojection_error(sample["points"], sample["depth"], sample["intrinsics"], mirrored=mirrored).max()
        for mirrored in (False, True)
    ]
    assert min(errors) < 0.5 * 100 / WIDTH + 1e-3
    assert max(errors) > 5  # only one of the two is true: a flip that forgot the camera would be seen


@pytest.mark.parametrize("camera", CAMERAS)
def test_evaluation_keeps_truth_and_camera_together(camera):
    sample = EvalTransform(Finish(*IDENTITY), (32, 32))(scene(camera))
    assert reprojection_error(sample["points"], sample["depth"], sample["intrinsics"]).max() < 1e-3


def test_pixel_map_follows_every_step():
    frame = resize(crop(flip(resize(scene("nyuv2"), 90, 120)), 4, 6, 70, 90), 35, 45)
    column, row = 20.0, 31.0  # of the original
    by_map = frame.pixel_map @ torch.tensor([column, row, 1.0])
    x = (column + 0.5) * 1.5 - 0.5
    x, y = (119 - x) - 6, (row + 0.5) * 1.5 - 0.5 - 4
    torch.testing.assert_close(by_map, torch.tensor([(x + 0.5) / 2 - 0.5, (y + 0.5) / 2 - 0.5, 1.0]))


def test_crops_come_from_the_window():
    """Red and green are the pixel's own coordinates: none outside the window is ever seen, both its ends are."""
    transform = TrainTransform(Finish(*IDENTITY), crop=(20, 30), hflip=0.0, window=(5, 10, 45, 70))
    seen = [transform(scene("nyuv2"))["image"] * 255 for _ in range(200)]
    columns, rows = torch.stack([s[0] for s in seen]), torch.stack([s[1] for s in seen])
    assert (round(columns.min().item()), round(columns.max().item())) == (10, 69)
    assert (round(rows.min().item()), round(rows.max().item())) == (5, 44)
