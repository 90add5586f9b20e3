"""Image, maps and camera stay consistent: a frame whose channels encode its own pixel coordinates tells."""

import numpy as np
import pytest
import torch

from datamodules.frames import Frame
from datamodules.nyuv2.labeled_format import intrinsics
from datamodules.pipeline.superpixels import GridSuperpixels
from datamodules.pipeline.transforms import EvalTransform, Finish, TrainTransform, crop, flip, resize

HEIGHT, WIDTH = 48, 64
IDENTITY = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def coded_frame(height=HEIGHT, width=WIDTH):
    """Red is the column, green the row; depth is any smooth positive function; labels number the pixels."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return Frame(
        image=torch.stack([columns, rows, torch.full_like(rows, 7)]).to(torch.uint8),
        maps={"depth": (1 + 0.01 * rows + 0.02 * columns)[None].float(), "semantics": rows * width + columns},
        intrinsics=torch.from_numpy(intrinsics(height, width)),
        scene="coded",
        frame=0,
        index=3,
    )


def points(frame):
    """(H, W, 3) back-projected points."""
    height, width = frame.size
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns, rows, np.ones_like(rows)], -1).astype(np.float64)
    return (pixels @ np.linalg.inv(frame.intrinsics.double().numpy()).T) * frame.maps["depth"][0].numpy()[..., None]


def test_crop_keeps_the_points_where_they_are():
    frame = coded_frame()
    cut = crop(frame, 5, 9, 20, 30)
    np.testing.assert_allclose(points(cut), points(frame)[5:25, 9:39], atol=1e-5)
    assert (cut.maps["semantics"] == frame.maps["semantics"][5:25, 9:39]).all()


def test_flip_mirrors_the_points():
    frame = coded_frame()
    mirrored = points(flip(frame))[:, ::-1] * [-1, 1, 1]
    np.testing.assert_allclose(mirrored, points(frame), atol=1e-5)


@pytest.mark.parametrize("size", [(24, 32), (96, 128), (36, 48), (40, 100)])
def test_resize_keeps_the_camera(size):
    """The centre of a resized pixel looks along the same ray as the point of the old grid that it covers."""
    frame = coded_frame()
    resized = resize(frame, *size)
    inverse_old, inverse_new = (np.linalg.inv(f.intrinsics.double().numpy()) for f in (frame, resized))
    for row, column in [(0, 0), (size[0] - 1, 3), (7, size[1] - 1)]:
        old = ((column + 0.5) * WIDTH / size[1] - 0.5, (row + 0.5) * HEIGHT / size[0] - 0.5, 1)
        np.testing.assert_allclose(inverse_new @ (column, row, 1), inverse_old @ old, atol=1e-6)
    assert resized.maps["semantics"].shape == size
    assert set(resized.maps["semantics"].unique().tolist()) <= set(frame.maps["semantics"].unique().tolist())


@pytest.mark.parametrize("seed", range(5))
def test_random_views_show_the_same_pixels_in_every_map(seed):
    torch.manual_seed(seed)
    transform = TrainTransform(Finish(*IDENTITY, superpixels=GridSuperpixels(8)), crop=(32, 40), hflip=0.5)
    sample = transform(coded_frame())
    columns, rows = (255 * sample["image"][:2]).round().long()
    assert (sample["semantics"] == rows * WIDTH + columns).all()
    torch.testing.assert_close(sample["depth"][0], 1 + 0.01 * rows + 0.02 * columns)
    assert sample["superpixels"].shape == (32, 40)
    assert sample["valid"].all()


def test_evaluation_never_touches_the_truth():
    frame = coded_frame()
    sample = EvalTransform(Finish(*IDENTITY), (24, 24))(frame)
    assert sample["image"].shape == (3, 24, 24)
    assert sample["depth"] is frame.maps["depth"]
    assert sample["intrinsics"] is frame.intrinsics


def test_normalisation_is_by_channel():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    sample = EvalTransform(Finish(mean, std))(coded_frame())
    expected = (coded_frame().image / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(sample["image"], expected)
