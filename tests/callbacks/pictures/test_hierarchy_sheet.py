"""Hierarchies of two methods on one frame: sizes and numbers of levels may differ."""

import numpy as np
import torch

from callbacks.pictures.colors import OUTLINED_WIDTH, segment_picture
from callbacks.pictures.frame_result import FrameResult
from callbacks.pictures.hierarchy_sheet import draw_hierarchies


def result_of(size, blocks, figures=None):
    """A method that cuts the image into so many columns at each level, and predicts no depth."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    segments = tuple(np.tile(np.arange(size[1]) * n // size[1], (size[0], 1)) for n in blocks)
    return FrameResult(3, "room, frame 0, index 3", image, None, torch.eye(3), segments, figures or {})


def test_every_level_of_every_method_is_shown():
    figures = {"level1_boundary_recall": 0.5, "level1_explained_variance": 0.25, "level1_achievable_accuracy": np.nan}
    figure = draw_hierarchies({"shed": result_of((24, 32), (8, 4, 2), figures), "cast": result_of((14, 14), (7, 3))})
    titles = [axis.get_title().strip().replace("\n", ", ") for axis in figure.axes]
    assert titles == [
        "shed, room, frame 0, index 3", "level 0: 8 superpixels", "level 1: 4 segments, BR 0.50  EV 0.25",
        "level 2: 2 segments", "cast, room, frame 0, index 3", "level 0: 7 superpixels", "level 1: 3 segments", "",
    ]  # fmt: skip
    shapes = [axis.get_images()[0].get_array().shape for axis in figure.axes if axis.get_images()]
    assert shapes[0] == (24, 32, 3)
    assert shapes[4] == (14, 14, 3)
    figure.canvas.draw()


def test_segments_have_their_mean_colours_inside_thin_outlines():
    result = result_of((10, 100), (4,))
    picture = segment_picture(result.segments[0], result.image)
    factor = OUTLINED_WIDTH // 100
    assert picture.shape == (10 * factor, 100 * factor, 3)
    for block in range(4):
        mean = result.image[:, 25 * block : 25 * (block + 1)].reshape(-1, 3).mean(0)
        inside = picture[:, factor * 25 * block + 5 : factor * 25 * (block + 1) - 5]
        np.testing.assert_allclose(inside.reshape(-1, 3), np.broadcast_to(mean, (inside[..., 0].size, 3)), atol=1.5)
    assert (picture == 255).all(2).mean() < 0.03
    assert segment_picture(np.zeros((3, 900), int), np.zeros((3, 900, 3), np.uint8)).shape == (3, 900, 3)
