"""Sparse truth goes through the pipeline point by point."""

import numpy as np
import pytest
import torch

from datamodules import FolderDataModule, ResizeFrame
from datamodules.pipeline.statistics import coarse_levels
from datamodules.pipeline.transforms import resize_points
from experiments.datasets.verify import suspicions
from tests.helpers.own_frames import describe, picture, save, surface


def points(number, size=(48, 64), count=150):
    """Depth (H, W) of which a few pixels are measured, each another."""
    random = np.random.default_rng(number)
    depth = np.zeros(size)
    places = random.choice(depth.size, count, replace=False)
    depth.flat[places] = surface(number, size).flat[places] + random.uniform(0.5, 1, count)
    return depth.astype(np.float32)


def placed_by_hand(depth, rows, columns):
    """Each point in the pixel that it falls into, the nearest on top."""
    height, width = depth.shape
    result = np.zeros((rows, columns), np.float32)
    for y, x in zip(*np.nonzero(depth), strict=True):
        row, column = int((y + 0.5) * rows / height), int((x + 0.5) * columns / width)
        if not result[row, column] or depth[y, x] < result[row, column]:
            result[row, column] = depth[y, x]
    return result


@pytest.mark.parametrize("size", [(24, 32), (96, 128), (48, 64), (31, 45), (7, 90)])
def test_points_fall_into_one_pixel_each(size):
    depth = points(0)
    found = resize_points(torch.from_numpy(depth)[None], size)[0].numpy()
    np.testing.assert_array_equal(found, placed_by_hand(depth, *size))
    assert set(found[found > 0]) <= set(depth[depth > 0])  # no value that was not measured
    if size[0] >= 48 and size[1] >= 64:
        assert (found > 0).sum() == (depth > 0).sum()


def test_no_points_at_all():
    assert not resize_points(torch.zeros(1, 4, 6), (8, 3)).any()


@pytest.fixture
def root(tmp_path):
    for number in range(6):
        save(tmp_path / f"rgb/{number}.png", picture(number))
        save(tmp_path / f"depth/{number}.npy", points(number))
    return describe(tmp_path, depth={"sparse": True}, splits={"fractions": {"test": 0.34}})


def module(root, **options):
    defaults = {"crop": (32, 32), "eval_size": (24, 32), "num_workers": 0, "batch_size": 4, "hflip": 1.0}
    return FolderDataModule(str(root), **{**defaults, **options})


def test_training_sees_points_that_were_measured(root):
    data = module(root, resize=(36, 48))
    data.setup("fit")
    for batch in data.train_dataloader():
        for number, depth, valid in zip(batch["index"].tolist(), batch["depth"], batch["valid"], strict=True):
            assert set(depth[valid].tolist()) <= set(points(number)[points(number) > 0].tolist())
            share = int(valid.sum()) / (32 * 32)
            assert share > 0.9 * 150 / (36 * 48) * 0.5  # a crop's part of all, give or take
            mirrored = placed_by_hand(points(number), 36, 48)[:, ::-1]
            windows = np.lib.stride_tricks.sliding_window_view(mirrored, (32, 32))
            assert (windows == depth[0].numpy()).all((-2, -1)).any()


def test_truth_is_whole_in_the_test(root):
    data = module(root)
    data.setup("test")
    for batch in data.test_dataloader():
        for number, depth in zip(batch["index"].tolist(), batch["depth"], strict=True):
            np.testing.assert_array_equal(depth[0].numpy(), points(number))


def test_a_step_keeps_points_too(root):
    frame = module(root, preprocess=[ResizeFrame((24, 32))]).reader.read(2)
    np.testing.assert_array_equal(frame.maps["depth"][0].numpy(), placed_by_hand(points(2), 24, 32))


def test_few_pixels_are_neither_suspicious_nor_coarse(root):
    data = module(root)
    assert suspicions(data.reader.read(0)) == ()
    assert coarse_levels(data.reader, range(2)) is None  # 75 pixels, each of a depth of its own
    describe(root, depth={"sparse": False})
    (said,) = suspicions(module(root).reader.read(0))
    assert "of its depth is invalid" in said
